// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/limits.hpp"

#include <charconv>
#include <functional>
#include <utility>

namespace daxfs::snapshotter {
namespace {

constexpr const char* kLabel = "containerd.io/snapshot/max-size";

// Far above the numbers that people and kubelets give away: from 2^30 on, 2^30 of them.
constexpr std::uint32_t kFirst = 1U << 30U;
constexpr std::uint32_t kCount = 1U << 30U;
constexpr int kTries = 1000;

}  // namespace

Limits::Limits(const std::string& folder, base::Logger& log)
    : first_(static_cast<std::uint32_t>(std::hash<std::string>()(folder))), log_(log) {
  Result<std::optional<os::ProjectQuotas>> found = os::ProjectQuotas::On(folder);
  if (!found.ok()) {
    log_.Warning("project quotas cannot be looked for", {{"err", found.status().message()}});
    return;
  }
  quotas_ = *std::move(found);
  if (!quotas_) return;
  const Result<std::uint32_t> inherited = os::ProjectQuotas::ProjectOf(folder);
  inherited_ = inherited.ok() ? *inherited : 0;
}

std::optional<std::uint64_t> Limits::Wanted(const Labels& labels) const {
  const auto label = labels.find(kLabel);
  if (label == labels.end()) return std::nullopt;
  const std::string& text = label->second;
  std::int64_t bytes = 0;  // as containerd's
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (error == std::errc() && end == text.data() + text.size() && bytes > 0) {
    return static_cast<std::uint64_t>(bytes);
  }
  log_.Warning(std::string(kLabel) + " is no number of bytes above 0, and says nothing",
               {{"value", text}});
  return std::nullopt;
}

Result<std::uint32_t> Limits::FreeProject(std::int64_t id) const {
  for (int i = 0; i < kTries; ++i) {
    const std::uint32_t project =
        kFirst + (first_ + static_cast<std::uint32_t>(id) + static_cast<std::uint32_t>(i)) % kCount;
    // A limit without anything is one that somebody has left.
    ASSIGN_OR_RETURN(const os::ProjectUse use, quotas_->Look(project));
    if (!use.used && project != inherited_) return project;
  }
  return ResourceExhaustedError("project quotas: no number is free");
}

Status Limits::Set(std::int64_t id, const std::vector<std::string>& directories,
                   std::uint64_t bytes) {
  if (!quotas_) {
    if (!said_.exchange(true)) {
      log_.Warning(std::string(kLabel) +
                   " is not enforced: the file system of the root needs project quotas (prjquota)");
    }
    return Status::Ok();
  }
  ASSIGN_OR_RETURN(const std::uint32_t project, FreeProject(id));
  for (const std::string& directory : directories) {
    RETURN_IF_ERROR(os::ProjectQuotas::Assign(directory, project));
  }
  return quotas_->Limit(project, bytes);
}

bool Limits::IsOurs(std::uint32_t project) const {
  return project >= kFirst && project - kFirst < kCount && project != inherited_;
}

Status Limits::Clear(const std::string& directory) const {
  if (!quotas_) return Status::Ok();
  const Result<std::uint32_t> project = os::ProjectQuotas::ProjectOf(directory);
  if (project.status().code() == StatusCode::kNotFound) return Status::Ok();
  RETURN_IF_ERROR(project.status());
  if (!IsOurs(*project)) return Status::Ok();
  return quotas_->Limit(*project, 0);
}

}  // namespace daxfs::snapshotter
