// SPDX-License-Identifier: Apache-2.0
#include "common/convert/place_layer.hpp"

#include <string>
#include <utility>
#include <vector>

#include "common/convert/pool_sink.hpp"
#include "common/convert/tar_source.hpp"
#include "common/format/image.hpp"
#include "common/oci/layer_stream.hpp"
#include "common/pool/view.hpp"

namespace daxfs::convert {
namespace {

Status CheckKey(const PlaceLayerRequest& request) {
  const pool::Key& key = request.key;
  const bool by_tar = key.kind == pool::AliasKind::kDiffId && request.diff_id &&
                      request.diff_id->bytes == key.digest;
  const bool by_blob = key.kind == pool::AliasKind::kBlob && request.stored_digest &&
                       request.stored_digest->bytes == key.digest;
  if (by_tar || by_blob) return Status::Ok();
  return InvalidArgumentError("a layer is asked for by its diffID or by its stored digest");
}

}  // namespace

// One look at every inode, 128 bytes each: little beside inflating what they were made of.
Result<std::uint64_t> CountImplicit(const format::Image& image) {
  std::uint64_t count = 0;
  const std::uint64_t inodes = image.Info().inodes;
  for (std::uint64_t number = 1; number <= inodes; ++number) {
    ASSIGN_OR_RETURN(const format::Inode inode, image.InodeAt(number));
    count += inode.implicit ? 1 : 0;
  }
  return count;
}

namespace {

// Whether there is something below for any directory no entry has named. Takes memory for one
// path: directories may be many, and deep.
Result<bool> AnyBelow(const format::Image& image, const FindLower& find) {
  struct Level {
    format::Inode directory;
    std::size_t path_bytes = 0;  // of the directory
    std::uint64_t next = 0;      // entry
  };
  ASSIGN_OR_RETURN(const format::Inode root, image.Root());
  std::string path;
  std::vector<Level> levels = {{root}};
  while (!levels.empty()) {
    Level& level = levels.back();
    path.resize(level.path_bytes);
    if (level.next == level.directory.entries) {
      levels.pop_back();
      continue;
    }
    ASSIGN_OR_RETURN(const format::DirectoryEntry entry,
                     image.Entry(level.directory, level.next++));
    if (entry.type != kTypeDirectory >> 12U) continue;
    ASSIGN_OR_RETURN(const format::Inode child, image.Child(level.directory, entry));
    if (!path.empty()) path += '/';
    path += entry.name;
    if (child.implicit) {
      ASSIGN_OR_RETURN(const std::optional<LowerDirectory> lower, find(path));
      if (lower) return true;
    }
    levels.push_back({child, path.size()});
  }
  return false;
}

// Whether anything in it is to hide what lies below.
Result<bool> HasMarks(const format::Image& image) {
  const std::uint64_t inodes = image.Info().inodes;
  for (std::uint64_t number = 1; number <= inodes; ++number) {
    ASSIGN_OR_RETURN(const format::Inode inode, image.InodeAt(number));
    if (inode.mode >> 12U == kTypeCharacter >> 12U && inode.device_major == 0 &&
        inode.device_minor == 0) {
      return true;
    }
    if (inode.mode >> 12U != kTypeDirectory >> 12U) continue;
    ASSIGN_OR_RETURN(const std::vector<format::XattrEntry> xattrs, image.Xattrs(inode));
    for (const format::XattrEntry& xattr : xattrs) {
      if (xattr.name == "trusted.overlay.opaque") return true;
    }
  }
  return false;
}

// What an image says of the layer it was made of.
Status Describe(const format::Image& image, const std::optional<oci::Digest>& diff_id,
                PlacedLayer* placed) {
  const format::ImageInfo info = image.Info();
  if (!info.source) return DataLossError("does not say which layer it was made of");
  placed->root.bytes = info.root;
  placed->diff_id.bytes = info.source->digest;
  placed->tar_bytes = info.source->size_bytes;
  if (diff_id && placed->diff_id != *diff_id) {
    return DataLossError("was made of the layer " + placed->diff_id.ToString() + ", wanted is " +
                         diff_id->ToString());
  }
  ASSIGN_OR_RETURN(placed->implicit_directories, CountImplicit(image));
  return Status::Ok();
}

Result<pool::Mapped> OpenAgain(pool::Participant& participant, const pool::Use& use) {
  ASSIGN_OR_RETURN(std::optional<pool::Use> again, participant.Take(use.ref()));
  if (!again) return InternalError("an object in use is gone");
  return pool::Mapped::Open(participant, *std::move(again));
}

Status DescribeFound(pool::Participant& participant, const std::optional<oci::Digest>& diff_id,
                     PlacedLayer* placed) {
  ASSIGN_OR_RETURN(const pool::Mapped mapped, OpenAgain(participant, placed->use));
  ASSIGN_OR_RETURN(const format::Image image, format::Image::FromBytes(mapped.bytes()));
  return Describe(image, diff_id, placed);
}

Result<bool> PlacedDiffersOver(pool::Participant& participant, const PlacedLayer& placed,
                               const Below& below) {
  if (!below.nothing && placed.implicit_directories == 0) return false;
  ASSIGN_OR_RETURN(const pool::Mapped mapped, OpenAgain(participant, placed.use));
  ASSIGN_OR_RETURN(const format::Image image, format::Image::FromBytes(mapped.bytes()));
  return DiffersOver(image, below);
}

}  // namespace

Result<bool> DiffersOver(const format::Image& image, const Below& below) {
  if (below.nothing) return HasMarks(image);
  return below.find ? AnyBelow(image, below.find) : false;
}

Result<ImageSummary> MakeLayer(const PlaceLayerRequest& request, Sink& sink, Monitor& monitor,
                               const Below& below) {
  ASSIGN_OR_RETURN(std::unique_ptr<oci::PositionedReader> stored, request.open());
  oci::LayerStream stream(std::move(stored), request.stored_digest, request.diff_id);
  ImageBuilder image(sink, request.options);
  ASSIGN_OR_RETURN(
      const format::SourceInfo source,
      ApplyStream({image.tree(), image.data(), image.xattrs(), request.options.profile, below},
                  stream, monitor));
  return image.Finish(source);
}

Result<PlacedLayer> PlaceLayer(pool::Participant& participant, const PlaceLayerRequest& request,
                               Monitor& monitor) {
  RETURN_IF_ERROR(CheckKey(request));
  std::optional<ImageSummary> built;
  const pool::Build build = [&](pool::Building& building) -> Result<pool::Digest> {
    PoolSink sink(building);
    ASSIGN_OR_RETURN(built, MakeLayer(request, sink, monitor));
    return built->root.bytes;
  };
  ASSIGN_OR_RETURN(pool::Obtained obtained,
                   pool::Obtain(participant, request.key, build, request.waiting));
  PlacedLayer placed{.use = std::move(obtained.use), .how = obtained.how, .built = built};
  if (built) {
    placed.root = built->root;
    placed.diff_id.bytes = built->source->digest;
    placed.tar_bytes = built->source->size_bytes;
    placed.implicit_directories = built->implicit_directories;
  } else {
    RETURN_IF_ERROR(DescribeFound(participant, request.diff_id, &placed)
                        .WithContext("the image of " + pool::DigestText(request.key.digest)));
  }
  // The other way of asking for it.
  std::optional<pool::Key> other;
  if (request.key.kind == pool::AliasKind::kBlob) {
    other = {pool::AliasKind::kDiffId, placed.diff_id.bytes};
  } else if (built && request.stored_digest) {
    other = {pool::AliasKind::kBlob, request.stored_digest->bytes};
  }
  if (other) RETURN_IF_ERROR(participant.AddAlias(placed.use, *other));
  return placed;
}

Result<PlacedLayer> PlaceLayerOver(pool::Participant& participant, const PlaceLayerRequest& request,
                                   const Below& below, Monitor& monitor) {
  Result<PlacedLayer> plain = PlaceLayer(participant, request, monitor);
  if (plain.ok()) {
    ASSIGN_OR_RETURN(const bool differs, PlacedDiffersOver(participant, *plain, below));
    if (!differs) return plain;
  } else if (!below.nothing || plain.status().code() != StatusCode::kInvalidArgument) {
    // Where nothing is below, a layer may delete what it has itself.
    return plain.status();
  }
  return PlaceLayerApart(participant, request, below, monitor);
}

Result<PlacedLayer> PlaceLayerApart(pool::Participant& participant,
                                    const PlaceLayerRequest& request, const Below& below,
                                    Monitor& monitor) {
  ASSIGN_OR_RETURN(const std::unique_ptr<pool::Building> building,
                   participant.Begin(pool::ObjectKind::kImage));
  PoolSink sink(*building);
  ASSIGN_OR_RETURN(const ImageSummary built, MakeLayer(request, sink, monitor, below));
  ASSIGN_OR_RETURN(pool::Building::Published published, building->Publish(built.root.bytes));
  return PlacedLayer{.use = std::move(published.use),
                     .root = built.root,
                     .diff_id = {built.source->digest},
                     .tar_bytes = built.source->size_bytes,
                     .implicit_directories = built.implicit_directories,
                     .how = published.existed ? pool::How::kFound : pool::How::kBuilt,
                     .built = built};
}

}  // namespace daxfs::convert
