// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/convert/implicit.hpp"
#include "common/convert/testing/build.hpp"
#include "common/oci/testing/tar_builder.hpp"

namespace daxfs::convert::testing {

// Applies a tar to an image being built, by the profile of the image.
Status ApplyTar(BuiltImage& image, const std::string& tar, const Below& below = {});

// What the image of that tar says it was made of.
format::SourceInfo SourceOf(const std::string& tar);

// The verified listing of the image one layer makes (Listing, without the root's line), or its
// error.
Result<std::vector<std::string>> LayerListing(const oci::testing::TarBuilder& tar,
                                              const Below& below = {});

// The same with the profile kArchive, the root's line included.
Result<std::vector<std::string>> ArchiveListing(const oci::testing::TarBuilder& tar);

// The same of several layers flattened into one image.
Result<std::vector<std::string>> FlatListing(const std::vector<oci::testing::TarBuilder>& tars);

}  // namespace daxfs::convert::testing
