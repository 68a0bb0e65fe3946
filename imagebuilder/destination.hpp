// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/base/status.hpp"
#include "common/convert/image_builder.hpp"
#include "common/convert/place_layer.hpp"
#include "common/convert/sink.hpp"
#include "imagebuilder/options.hpp"
#include "imagebuilder/progress.hpp"
#include "imagebuilder/report.hpp"

namespace daxfs::imagebuilder {

// Where images go.
class Destination {
 public:
  // Fills the sink with a whole image.
  using Make = std::function<Result<convert::ImageSummary>(convert::Sink& sink)>;

  virtual ~Destination() = default;
  // Makes the image; at `path` if it becomes a file. Errors: of `make`, of the medium.
  virtual Result<ImageReport> Place(const std::string& path, const Make& make) = 0;
  // The image of a layer, made unless it is there already. Errors: also of the layer.
  virtual Result<ImageReport> PlaceLayer(const std::string& path,
                                         const convert::PlaceLayerRequest& layer,
                                         Progress& progress) {
    return Place(path,
                 [&](convert::Sink& sink) { return convert::MakeLayer(layer, sink, progress); });
  }
  // All images of the build are placed.
  virtual Status Finish(const BuildReport& report) = 0;
};

// Files, each replacing what had its name.
std::unique_ptr<Destination> FilesDestination();

// The pool of --pool. Errors: as Memory::Open and Participant::Attach.
Result<std::unique_ptr<Destination>> PoolDestination(const Options& options);

}  // namespace daxfs::imagebuilder
