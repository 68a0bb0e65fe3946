// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/image_source.hpp"
#include "imagebuilder/destination.hpp"
#include "imagebuilder/options.hpp"
#include "imagebuilder/progress.hpp"
#include "imagebuilder/report.hpp"

namespace daxfs::imagebuilder {

// "layer 2 of 3", of index 1.
std::string StepName(std::size_t index, std::size_t count);

// How options become a converter's.
convert::BuildOptions ToBuildOptions(const Options& options);

// "NN-DIFFID.daxfs": a layer's file name among those of its image.
// What each layer is over those below it, as containerd names its snapshot.
std::vector<oci::Digest> ChainsOf(const oci::ImageRef& source);

std::string LayerFileName(std::size_t index, const oci::Digest& diff_id);

// Makes an image a layer, several at once, each as containerd would have unpacked it over those
// below; as files, in `directory`. What it reports is in the order of the layers. Errors: of a
// layer, with its number; kCancelled.
Result<std::vector<ImageReport>> BuildLayers(const Options& options, const oci::ImageSource& images,
                                             const oci::ImageRef& source,
                                             const std::string& directory, Destination& out,
                                             Progress& progress);

}  // namespace daxfs::imagebuilder
