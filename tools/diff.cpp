// SPDX-License-Identifier: Apache-2.0
#include "tools/diff.hpp"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "common/base/hex.hpp"
#include "common/format/content.hpp"
#include "common/format/dump_text.hpp"
#include "common/format/walk.hpp"
#include "tools/text.hpp"

namespace daxfs::tools {
namespace {

constexpr std::uint32_t kTypeMask = 0170000;
constexpr std::uint32_t kTypeFile = 0100000;
constexpr std::uint32_t kTypeSymlink = 0120000;
constexpr std::string_view kNone = "-";

using Report = std::function<Status(const Difference&)>;

std::uint32_t TypeOf(const format::Inode& inode) { return inode.mode & kTypeMask; }

std::string YesText(bool value) { return value ? "yes" : "no"; }

// One of the two images, at its current name.
struct Side {
  explicit Side(const format::Image& from) : image(from), walk(from) {}

  Status Step() {
    ASSIGN_OR_RETURN(more, walk.Next(&entry));
    return Status::Ok();
  }

  const format::Image& image;
  format::TreeWalk walk;
  format::WalkEntry entry;
  bool more = true;
};

class Differ {
 public:
  Differ(const format::Image& a, const format::Image& b, const DiffOptions& options,
         const Report& report, const format::Advance& advance)
      : a_(a), b_(b), options_(options), report_(report), advance_(advance) {}

  Result<std::uint64_t> Run();

 private:
  Status Compare(std::string_view field, std::string a, std::string b);
  Status CompareImages();
  Status CompareEntries();
  Status CompareAttributes(const format::Inode& a, const format::Inode& b);
  Status CompareKinds(const format::Inode& a, const format::Inode& b);
  Status CompareXattrs(const format::Inode& a, const format::Inode& b);
  Status CompareContent(const format::Inode& a, const format::Inode& b);
  Status CompareLayout(const format::Inode& a, const format::Inode& b);

  Side a_;
  Side b_;
  const DiffOptions options_;
  const Report& report_;
  const format::Advance& advance_;
  std::string path_;  // escaped
  std::uint64_t found_ = 0;
};

Status Differ::Compare(std::string_view field, std::string a, std::string b) {
  if (a == b) return Status::Ok();
  ++found_;
  return report_({path_, field, std::move(a), std::move(b)});
}

Status Differ::CompareImages() {
  path_ = "image";
  const format::ImageInfo a = a_.image.Info();
  const format::ImageInfo b = b_.image.Info();
  const auto number = [this](std::string_view field, std::uint64_t x, std::uint64_t y) {
    return Compare(field, std::to_string(x), std::to_string(y));
  };
  RETURN_IF_ERROR(
      Compare("root", "sha256:" + base::ToHex(a.root), "sha256:" + base::ToHex(b.root)));
  RETURN_IF_ERROR(Compare("profile", std::string(a.profile), std::string(b.profile)));
  RETURN_IF_ERROR(number("huge_min_bytes", a.huge_min_bytes, b.huge_min_bytes));
  RETURN_IF_ERROR(number("data_align_bytes", a.data_align_bytes, b.data_align_bytes));
  RETURN_IF_ERROR(Compare("flattened", YesText(a.flattened), YesText(b.flattened)));
  RETURN_IF_ERROR(Compare("user_xattr", YesText(a.user_xattr), YesText(b.user_xattr)));
  RETURN_IF_ERROR(
      Compare("source", format::FormatDumpSource(a.source), format::FormatDumpSource(b.source)));
  RETURN_IF_ERROR(number("image_bytes", a.image_bytes, b.image_bytes));
  RETURN_IF_ERROR(number("data_bytes", a.data_bytes, b.data_bytes));
  RETURN_IF_ERROR(number("waste_bytes", a.waste_bytes, b.waste_bytes));
  return number("inodes", a.inodes, b.inodes);
}

Status Differ::CompareEntries() {
  const auto first = [](const format::WalkEntry& entry) {
    return entry.hard_link ? format::EscapeBytes(entry.first_path) : std::string(kNone);
  };
  RETURN_IF_ERROR(Compare("hardlink", first(a_.entry), first(b_.entry)));
  // What both name again was compared under its first name.
  if (a_.entry.hard_link && b_.entry.hard_link && a_.entry.first_path == b_.entry.first_path) {
    return Status::Ok();
  }
  return CompareAttributes(a_.entry.inode, b_.entry.inode);
}

Status Differ::CompareAttributes(const format::Inode& a, const format::Inode& b) {
  const auto mode = [](const format::Inode& inode) {
    return fmt::format("{:04o}", inode.mode & 07777U);
  };
  const auto mtime = [](const format::Inode& inode) {
    return format::FormatDumpTime({inode.mtime_seconds, inode.mtime_nanoseconds});
  };
  RETURN_IF_ERROR(Compare("type", std::string(TypeText(a.mode)), std::string(TypeText(b.mode))));
  RETURN_IF_ERROR(Compare("mode", mode(a), mode(b)));
  RETURN_IF_ERROR(Compare("uid", std::to_string(a.uid), std::to_string(b.uid)));
  RETURN_IF_ERROR(Compare("gid", std::to_string(a.gid), std::to_string(b.gid)));
  RETURN_IF_ERROR(Compare("mtime", mtime(a), mtime(b)));
  RETURN_IF_ERROR(Compare("implicit", YesText(a.implicit), YesText(b.implicit)));
  RETURN_IF_ERROR(CompareXattrs(a, b));
  if (TypeOf(a) == TypeOf(b)) RETURN_IF_ERROR(CompareKinds(a, b));
  return options_.layout ? CompareLayout(a, b) : Status::Ok();
}

Status Differ::CompareKinds(const format::Inode& a, const format::Inode& b) {
  if (TypeOf(a) == kTypeFile) {
    RETURN_IF_ERROR(Compare("size", std::to_string(a.size_bytes), std::to_string(b.size_bytes)));
    return CompareContent(a, b);
  }
  if (TypeOf(a) == kTypeSymlink) {
    ASSIGN_OR_RETURN(const std::string_view target_a, a_.image.SymlinkTarget(a));
    ASSIGN_OR_RETURN(const std::string_view target_b, b_.image.SymlinkTarget(b));
    return Compare("target", format::EscapeBytes(target_a), format::EscapeBytes(target_b));
  }
  return Compare("device", fmt::format("{}:{}", a.device_major, a.device_minor),
                 fmt::format("{}:{}", b.device_major, b.device_minor));
}

Status Differ::CompareXattrs(const format::Inode& a, const format::Inode& b) {
  ASSIGN_OR_RETURN(const std::vector<format::XattrEntry> in_a, a_.image.Xattrs(a));
  ASSIGN_OR_RETURN(const std::vector<format::XattrEntry> in_b, b_.image.Xattrs(b));
  auto at_a = in_a.begin();
  auto at_b = in_b.begin();
  while (at_a != in_a.end() || at_b != in_b.end()) {
    const bool has_a = at_a != in_a.end() && (at_b == in_b.end() || at_a->name <= at_b->name);
    const bool has_b = at_b != in_b.end() && (at_a == in_a.end() || at_b->name <= at_a->name);
    const std::string field = "xattr " + format::EscapeBytes(has_a ? at_a->name : at_b->name, "=");
    const auto text = [](const format::XattrEntry& entry) {
      return "\"" + format::EscapeBytes(entry.value) + "\"";
    };
    RETURN_IF_ERROR(Compare(field, has_a ? text(*at_a) : std::string(kNone),
                            has_b ? text(*at_b) : std::string(kNone)));
    at_a += has_a ? 1 : 0;
    at_b += has_b ? 1 : 0;
  }
  return Status::Ok();
}

Status Differ::CompareContent(const format::Inode& a, const format::Inode& b) {
  RETURN_IF_ERROR(a_.image.Check(a));
  RETURN_IF_ERROR(b_.image.Check(b));
  ASSIGN_OR_RETURN(const bool same, format::SameContent(a_.image, a, b_.image, b, advance_));
  if (same) return Status::Ok();
  ASSIGN_OR_RETURN(const format::ContentDigest digest_a,
                   format::DigestOfContent(a_.image, a, advance_));
  ASSIGN_OR_RETURN(const format::ContentDigest digest_b,
                   format::DigestOfContent(b_.image, b, advance_));
  return Compare("content", "sha256:" + base::ToHex(digest_a), "sha256:" + base::ToHex(digest_b));
}

Status Differ::CompareLayout(const format::Inode& a, const format::Inode& b) {
  RETURN_IF_ERROR(Compare("inode", std::to_string(a.number), std::to_string(b.number)));
  RETURN_IF_ERROR(Compare("huge", YesText(a.huge), YesText(b.huge)));
  const auto extents = [](const Side& side, const format::Inode& inode,
                          std::string* text) -> Status {
    if (TypeOf(inode) != kTypeFile) return Status::Ok();
    return format::ForEachExtent(side.image, inode, [text](const format::FileExtent& extent) {
      *text += fmt::format("{}{}@{}+{}", text->empty() ? "" : ",", extent.logical, extent.offset,
                           extent.length);
      return Status::Ok();
    });
  };
  std::string text_a;
  std::string text_b;
  RETURN_IF_ERROR(extents(a_, a, &text_a));
  RETURN_IF_ERROR(extents(b_, b, &text_b));
  return Compare("extents", text_a.empty() ? std::string(kNone) : text_a,
                 text_b.empty() ? std::string(kNone) : text_b);
}

Result<std::uint64_t> Differ::Run() {
  if (options_.layout) RETURN_IF_ERROR(CompareImages());
  RETURN_IF_ERROR(a_.Step());
  RETURN_IF_ERROR(b_.Step());
  while (a_.more || b_.more) {
    const bool only_a = a_.more && (!b_.more || format::ComesBefore(a_.entry.path, b_.entry.path));
    const bool only_b = b_.more && (!a_.more || format::ComesBefore(b_.entry.path, a_.entry.path));
    path_ = format::EscapeBytes(only_b ? b_.entry.path : a_.entry.path);
    if (only_a || only_b) {
      ++found_;
      RETURN_IF_ERROR(report_({path_, only_a ? "only-in-a" : "only-in-b", "", ""}));
    } else {
      RETURN_IF_ERROR(CompareEntries().WithContext(path_));
    }
    if (!only_b) RETURN_IF_ERROR(a_.Step());
    if (!only_a) RETURN_IF_ERROR(b_.Step());
    RETURN_IF_ERROR(format::Tell(advance_, 0, 1));
  }
  return found_;
}

}  // namespace

Result<std::uint64_t> DiffImages(const format::Image& a, const format::Image& b,
                                 const DiffOptions& options, const Report& report,
                                 const format::Advance& advance) {
  return Differ(a, b, options, report, advance).Run();
}

}  // namespace daxfs::tools
