// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "common/base/status.hpp"
#include "imagebuilder/destination.hpp"
#include "imagebuilder/options.hpp"
#include "imagebuilder/progress.hpp"
#include "imagebuilder/report.hpp"

namespace daxfs::imagebuilder {

// The part of Build for SourceKind::kDump.
Result<BuildReport> BuildDump(const Options& options, Destination& out, Progress& progress);

}  // namespace daxfs::imagebuilder
