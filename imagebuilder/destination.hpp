// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/base/status.hpp"
#include "common/convert/image_builder.hpp"
#include "common/convert/place_layer.hpp"
#include "common/convert/sink.hpp"
#include "common/format/advance.hpp"
#include "common/format/image.hpp"
#include "imagebuilder/options.hpp"
#include "imagebuilder/report.hpp"

namespace daxfs::imagebuilder {

// The image of a layer where it has gone; it stays there as long as this lives.
class BuiltLayer {
 public:
  explicit BuiltLayer(ImageReport report) : report_(std::move(report)) {}
  virtual ~BuiltLayer() = default;
  BuiltLayer(const BuiltLayer&) = delete;
  BuiltLayer& operator=(const BuiltLayer&) = delete;

  virtual const format::Image& image() const = 0;
  // Whether it was found as what it is over the very layers below it.
  virtual bool is_of_chain() const { return false; }
  const ImageReport& report() const { return report_; }

 private:
  const ImageReport report_;
};

// Where images go.
class Destination {
 public:
  // Fills the sink with a whole image.
  using Make = std::function<Result<convert::ImageSummary>(convert::Sink& sink)>;

  virtual ~Destination() = default;
  // Makes the image; at `path` if it becomes a file. Errors: of `make`, of the medium.
  virtual Result<ImageReport> Place(const std::string& path, const Make& make) = 0;
  // The image of a layer over `below`, made unless it is there already. Thread safe. Errors: also
  // of the layer.
  virtual Result<std::unique_ptr<BuiltLayer>> MakeLayer(const std::string& path,
                                                        const convert::PlaceLayerRequest& layer,
                                                        const convert::Below& below,
                                                        convert::Monitor& monitor) = 0;
  // The last layer of that chain, if there is one; else nullptr. Thread safe.
  virtual Result<std::unique_ptr<BuiltLayer>> FindLayer(const oci::Digest& chain,
                                                        const oci::Digest& diff_id) = 0;
  // Whether the image of that layer would be found there.
  virtual Result<bool> HasLayer(const oci::Digest& chain, const oci::Digest& diff_id) = 0;
  // The next layer of the image, the lowest first: the last of the chain of that name, the ones
  // before it being `parent`.
  virtual Status AddLayer(const BuiltLayer& layer, const oci::Digest& chain,
                          const std::optional<oci::Digest>& parent) = 0;
  // Reads the image that Place has made last. Errors: kDataLoss; then a file has gone.
  virtual Status VerifyPlaced(const ImageReport& image, const format::Advance& advance) = 0;
  // All images of the build are placed.
  virtual Status Finish(const BuildReport& report) = 0;
};

// Files, each replacing what had its name.
std::unique_ptr<Destination> FilesDestination();

// Nowhere: images are made without layers only, in a temporary file nobody sees; what `out` has is
// there.
std::unique_ptr<Destination> NoDestination(std::unique_ptr<Destination> out);

// The pool of --pool. Errors: as Memory::Open and Participant::Attach.
Result<std::unique_ptr<Destination>> PoolDestination(const Options& options);

}  // namespace daxfs::imagebuilder
