// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/applier.hpp"

#include <memory>
#include <utility>

#include "common/oci/manifest.hpp"
#include "snapshotter/place_blob.hpp"

namespace daxfs::snapshotter {

Result<Tar> Applier::Apply(const ApplyRequest& request) {
  RETURN_IF_ERROR(oci::CheckLayerType(request.blob.media_type));
  ASSIGN_OR_RETURN(const Snapshot target, snapshotter_.FindTarget(request.mounts));
  ASSIGN_OR_RETURN(const std::shared_ptr<pool::Participant> participant, membership_.Get());
  ASSIGN_OR_RETURN(std::vector<std::string> layers, snapshotter_.LayersBelow(target));
  convert::Below below;
  below.nothing = Snapshotter::IsLowest(target);
  below.find = convert::FindInDirectories(std::move(layers));
  ASSIGN_OR_RETURN(
      const convert::PlacedLayer placed,
      PlaceBlob(*participant, content_,
                {request.blob, request.name_space, std::move(below), request.cancelled}));
  RETURN_IF_ERROR(snapshotter_.SetImage(target, {placed.root, placed.diff_id}));
  log_.Info("layer", {{"blob", request.blob.digest.ToString()},
                      {"diff_id", placed.diff_id.ToString()},
                      {"how", pool::HowText(placed.how)},
                      {"bytes", placed.tar_bytes},
                      {"implicit_directories", placed.implicit_directories}});
  return Tar{placed.diff_id, placed.tar_bytes, placed.how};
}

}  // namespace daxfs::snapshotter
