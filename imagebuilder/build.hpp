// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "common/base/log.hpp"
#include "common/base/status.hpp"
#include "imagebuilder/options.hpp"
#include "imagebuilder/progress.hpp"
#include "imagebuilder/report.hpp"

namespace daxfs::imagebuilder {

// Makes what the options ask for. On failure nothing is left at or beside the output.
Result<BuildReport> Build(const Options& options, Progress& progress, base::Logger& log);

}  // namespace daxfs::imagebuilder
