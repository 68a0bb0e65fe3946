// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/base/status.hpp"
#include "common/convert/image_builder.hpp"
#include "common/convert/sink.hpp"
#include "common/oci/image_source.hpp"
#include "imagebuilder/options.hpp"
#include "imagebuilder/progress.hpp"
#include "imagebuilder/report.hpp"

namespace daxfs::imagebuilder {

// What is known of an image before it is made.
struct Wanted {
  std::string path;                      // if it becomes a file
  const oci::LayerRef* layer = nullptr;  // it is made of this layer and nothing else
};

// Where images go.
class Destination {
 public:
  // Fills the sink with a whole image.
  using Make = std::function<Result<convert::ImageSummary>(convert::Sink& sink)>;

  virtual ~Destination() = default;
  // Makes the image, unless it is there already. Errors: of `make`, of the medium.
  virtual Result<ImageReport> Place(const Wanted& wanted, const Make& make) = 0;
  // All images of the build are placed.
  virtual Status Finish(const BuildReport& report) = 0;
};

// Files, each replacing what had its name.
std::unique_ptr<Destination> FilesDestination();

// The pool of --pool. Errors: as Memory::Open and Participant::Attach.
Result<std::unique_ptr<Destination>> PoolDestination(const Options& options, Progress& progress);

}  // namespace daxfs::imagebuilder
