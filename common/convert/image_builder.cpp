// SPDX-License-Identifier: Apache-2.0
#include "common/convert/image_builder.hpp"

#include "common/convert/metadata_writer.hpp"

namespace daxfs::convert {

ImageBuilder::ImageBuilder(Sink& sink, const BuildOptions& options)
    : sink_(sink),
      options_(options),
      data_(sink, options.layout),
      tree_([this](const Node& node) { data_.Release(node.data); },
            options.profile == Profile::kLayer ? kLayerTreeMaxBytes : UINT64_MAX) {}

Result<ImageSummary> ImageBuilder::Finish(const std::optional<format::SourceInfo>& source) {
  ASSIGN_OR_RETURN(const DataSummary summary, data_.Finish());
  MetadataWriter writer({tree_, xattrs_, data_, summary, options_, source}, sink_);
  return writer.Write();
}

}  // namespace daxfs::convert
