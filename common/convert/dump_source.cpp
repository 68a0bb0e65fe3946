// SPDX-License-Identifier: Apache-2.0
#include "common/convert/dump_source.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>

#include "common/convert/dump_record.hpp"
#include "common/format/dump_text.hpp"
#include "common/oci/digest.hpp"

namespace daxfs::convert {
namespace {

constexpr std::size_t kBuffer = 65536;
constexpr std::array<std::string_view, 5> kFigures = {"root", "image_bytes", "data_bytes",
                                                      "waste_bytes", "inodes"};

Status AtLine(std::uint64_t number, const Status& status) {
  return status.WithContext("line " + std::to_string(number));
}

Result<bool> ParseYes(std::string_view text) {
  if (text == "yes") return true;
  if (text == "no") return false;
  return InvalidArgumentError("use yes or no");
}

// Builds the tree line by line. An inode is complete when the next one begins.
class Assembler {
 public:
  Assembler(ImageBuilder& image, DumpData& data, Monitor& monitor)
      : image_(image), data_(data), monitor_(monitor) {}

  Status TakeLine(const std::string& line, std::uint64_t number);
  // The dump ends in line `number`.
  Status Finish(std::uint64_t number);

 private:
  struct Open {
    std::string path;
    NodeId node;
  };
  Status Begin(DumpRecord record, std::uint64_t number);
  Status Complete();
  Status CompleteNode();
  Status AddXattr(std::string_view line);
  Status AddRoot();
  Result<NodeId> ParentOf(const std::string& path);
  Result<NodeId> FindTarget(std::string_view path) const;
  Status ReadContent();

  ImageBuilder& image_;
  DumpData& data_;
  Monitor& monitor_;
  std::optional<DumpRecord> record_;  // not complete yet
  std::uint64_t number_ = 0;          // its line
  XattrMap xattrs_;
  bool in_extents_ = false;
  std::string last_path_;
  std::vector<Open> open_;  // the directories above, the root first
  oci::Sha256 hasher_;
};

Status Assembler::TakeLine(const std::string& line, std::uint64_t number) {
  if (!line.starts_with(' ')) {
    Result<DumpRecord> record = ParseDumpEntry(line);
    if (!record.ok()) return AtLine(number, record.status());
    return Begin(*std::move(record), number);
  }
  if (!record_.has_value()) return AtLine(number, InvalidArgumentError("the root comes first"));
  if (record_->hard_link) {
    return AtLine(number, InvalidArgumentError("a hard link has nothing of its own"));
  }
  if (!line.starts_with("  extent ")) return AtLine(number, AddXattr(line));
  in_extents_ = true;
  if ((record_->node.attributes.mode & kTypeMask) != kTypeFile) {
    return AtLine(number, InvalidArgumentError("extents belong to files"));
  }
  return AtLine(number, CheckDumpExtent(line));
}

Status Assembler::AddXattr(std::string_view line) {
  ASSIGN_OR_RETURN(auto xattr, ParseDumpXattr(line));
  if (in_extents_) return InvalidArgumentError("xattrs come before extents");
  if (!xattrs_.empty() && xattrs_.rbegin()->first >= xattr.first) {
    return InvalidArgumentError("xattrs are in ascending order, each once");
  }
  xattrs_.insert(std::move(xattr));
  return Status::Ok();
}

Status Assembler::Begin(DumpRecord record, std::uint64_t number) {
  RETURN_IF_ERROR(Complete());
  if (last_path_.empty() && record.path != "/") {
    return AtLine(number, InvalidArgumentError("the root comes first"));
  }
  if (!last_path_.empty() && !format::ComesBefore(last_path_, record.path)) {
    return AtLine(number, InvalidArgumentError(
                              format::EscapeBytes(record.path) +
                              ": paths are in ascending order, each once, directories first"));
  }
  last_path_ = record.path;
  record_ = std::move(record);
  number_ = number;
  return Status::Ok();
}

Status Assembler::Complete() {
  if (!record_.has_value()) return Status::Ok();
  const Status status = CompleteNode();
  if (!status.ok()) {
    return AtLine(number_, status.WithContext(format::EscapeBytes(record_->path)));
  }
  xattrs_.clear();
  in_extents_ = false;
  record_.reset();
  return monitor_.Advance(0, 1);
}

Status Assembler::CompleteNode() {
  Node& node = record_->node;
  ASSIGN_OR_RETURN(node.xattrs, image_.xattrs().Intern(xattrs_));
  if (record_->path == "/") return AddRoot();
  ASSIGN_OR_RETURN(const NodeId parent, ParentOf(record_->path));
  const std::string name = record_->path.substr(record_->path.rfind('/') + 1);
  if (record_->hard_link) {
    ASSIGN_OR_RETURN(const NodeId target, FindTarget(record_->target));
    return image_.tree().Link(parent, name, target);
  }
  const std::uint32_t type = node.attributes.mode & kTypeMask;
  if (type == kTypeFile) RETURN_IF_ERROR(ReadContent());
  ASSIGN_OR_RETURN(const NodeId id, image_.tree().Add(parent, name, std::move(node)));
  if (type == kTypeDirectory) open_.push_back({record_->path, id});
  return Status::Ok();
}

Status Assembler::AddRoot() {
  const Node& from = record_->node;
  if (record_->hard_link || (from.attributes.mode & kTypeMask) != kTypeDirectory) {
    return InvalidArgumentError("the root is a directory");
  }
  Node& root = image_.tree().At(Tree::kRoot);
  root.attributes = from.attributes;
  root.xattrs = from.xattrs;
  root.implicit = from.implicit;
  open_.push_back({"", Tree::kRoot});
  return Status::Ok();
}

// Order makes the parent one of the directories that are open.
Result<NodeId> Assembler::ParentOf(const std::string& path) {
  const std::string_view parent = std::string_view(path).substr(0, path.rfind('/'));
  while (!open_.empty() && open_.back().path != parent) open_.pop_back();
  if (!open_.empty()) return open_.back().node;
  return InvalidArgumentError("no line before it makes its parent a directory");
}

Result<NodeId> Assembler::FindTarget(std::string_view path) const {
  const Tree& tree = image_.tree();
  const Status missing =
      InvalidArgumentError("no line before it makes its target " + format::EscapeBytes(path) +
                           " anything but a directory");
  NodeId at = Tree::kRoot;
  for (path.remove_prefix(1); !path.empty();) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    if (!tree.IsDirectory(at)) return missing;
    const std::optional<NodeId> child = tree.Child(at, path.substr(0, slash));
    if (!child.has_value()) return missing;
    at = *child;
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  if (tree.IsDirectory(at)) return missing;
  return at;
}

Status Assembler::ReadContent() {
  static constexpr std::array<std::byte, kBuffer> kZeros{};
  Node& node = record_->node;
  ASSIGN_OR_RETURN(const std::uint64_t size, data_.Open(record_->path));
  if (size != node.size_bytes) {
    return FailedPreconditionError("the data has " + std::to_string(size) + " bytes, the dump " +
                                   std::to_string(node.size_bytes));
  }
  RETURN_IF_ERROR(image_.data().Begin(size));
  hasher_.Reset();
  for (;;) {
    ASSIGN_OR_RETURN(DataPart part, data_.Next());
    if (part.empty()) break;
    hasher_.Update(part.bytes);
    RETURN_IF_ERROR(image_.data().Append(part.bytes));
    if (part.zeros > 0) RETURN_IF_ERROR(image_.data().AppendZeros(part.zeros));
    RETURN_IF_ERROR(monitor_.Advance(part.bytes.size() + part.zeros, 0));
    while (part.zeros > 0) {
      const std::size_t n = std::min<std::uint64_t>(part.zeros, kZeros.size());
      hasher_.Update(std::span(kZeros).first(n));
      part.zeros -= n;
    }
  }
  ASSIGN_OR_RETURN(node.data, image_.data().End());
  const oci::Digest digest = hasher_.Finish();
  if (digest == record_->content) return Status::Ok();
  return FailedPreconditionError("the data has sha256 " + digest.Hex() + ", the dump " +
                                 record_->content.Hex());
}

Status Assembler::Finish(std::uint64_t number) {
  if (last_path_.empty()) return AtLine(number, InvalidArgumentError("a dump without a root"));
  return Complete();
}

}  // namespace

Result<bool> LineReader::Next(std::string* line) {
  line->clear();
  ++number_;
  for (;;) {
    if (rest_.empty()) {
      buffer_.resize(kBuffer);
      ASSIGN_OR_RETURN(const std::size_t n, read_(buffer_));
      rest_ = std::span(buffer_).first(n);
    }
    if (rest_.empty()) {
      if (line->empty()) return false;
      return AtLine(number_, InvalidArgumentError("the dump ends inside of this line"));
    }
    const auto newline = std::find(rest_.begin(), rest_.end(), std::byte{'\n'});
    const auto length = static_cast<std::size_t>(newline - rest_.begin());
    if (line->size() + length > format::kDumpLineMax) {
      return AtLine(number_, InvalidArgumentError("a line of more than 1 MiB"));
    }
    line->append(reinterpret_cast<const char*>(rest_.data()), length);
    const bool whole = newline != rest_.end();
    rest_ = rest_.subspan(length + (whole ? 1 : 0));
    if (whole) return true;
  }
}

Status DumpSource::ReadOptions() {
  constexpr std::array<std::string_view, 6> kKeys = {
      "profile", "huge_min_bytes", "data_align_bytes", "flattened", "user_xattr", "source"};
  std::array<std::string, kKeys.size()> values;
  for (std::size_t i = 0; i < kKeys.size(); ++i) {
    ASSIGN_OR_RETURN(const bool more, lines_.Next(&line_));
    const std::string start = "option " + std::string(kKeys.at(i)) + " ";
    if (!more || !line_.starts_with(start)) {
      return InvalidArgumentError("wanted \"" + start + "...\"");
    }
    values.at(i) = line_.substr(start.size());
  }
  if (values[0] != "layer" && values[0] != "archive") {
    return InvalidArgumentError("option profile: use layer or archive");
  }
  options_.profile = values[0] == "layer" ? Profile::kLayer : Profile::kArchive;
  constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
  ASSIGN_OR_RETURN(options_.layout.huge_min_bytes,
                   format::ParseDumpNumber(values[1], kAny).WithContext("option huge_min_bytes"));
  ASSIGN_OR_RETURN(
      const std::uint64_t align,
      format::ParseDumpNumber(values[2], 65536).WithContext("option data_align_bytes"));
  if (align < 4096 || !std::has_single_bit(align)) {
    return InvalidArgumentError("option data_align_bytes: a power of two from 4096 to 65536");
  }
  options_.layout.data_align_shift = static_cast<unsigned>(std::countr_zero(align));
  ASSIGN_OR_RETURN(options_.flattened, ParseYes(values[3]).WithContext("option flattened"));
  ASSIGN_OR_RETURN(const bool user_xattr, ParseYes(values[4]).WithContext("option user_xattr"));
  if (user_xattr) return UnimplementedError("option user_xattr yes is not supported yet");
  ASSIGN_OR_RETURN(source_, format::ParseDumpSource(values[5]).WithContext("option source"));
  return Status::Ok();
}

Status DumpSource::ReadHeader() {
  ASSIGN_OR_RETURN(const bool some, lines_.Next(&line_));
  if (!some || !line_.starts_with("daxfs-dump ")) {
    return InvalidArgumentError("no dump: it does not begin with \"" +
                                std::string(format::kDumpHeader) + "\"");
  }
  if (line_ != format::kDumpHeader) {
    return UnimplementedError("another version of the dump: " +
                              format::EscapeBytes(line_.substr(0, 60)));
  }
  RETURN_IF_ERROR(ReadOptions());
  // For people: what the image was, not what is to be made.
  for (std::size_t next = 0;;) {
    ASSIGN_OR_RETURN(const bool more, lines_.Next(&line_));
    if (!more) return InvalidArgumentError("the dump ends here");
    if (!line_.starts_with("image ")) return Status::Ok();
    const std::string_view key = std::string_view(line_).substr(6, line_.find(' ', 6) - 6);
    const auto* const known = std::find(kFigures.begin() + next, kFigures.end(), key);
    if (known == kFigures.end()) {
      return InvalidArgumentError("\"image " + format::EscapeBytes(key.substr(0, 60)) +
                                  "\": no such figure, or not in its place");
    }
    next = static_cast<std::size_t>(known - kFigures.begin()) + 1;
  }
}

Result<DumpSource> DumpSource::Open(TextReader read) {
  DumpSource source{LineReader(std::move(read))};
  const Status status = source.ReadHeader();
  if (!status.ok()) return AtLine(source.lines_.number(), status);
  return source;
}

Status DumpSource::AddTo(ImageBuilder& image, DumpData& data, Monitor& monitor) {
  Assembler assembler(image, data, monitor);
  while (line_ != format::kDumpEnd) {
    RETURN_IF_ERROR(assembler.TakeLine(line_, lines_.number()));
    ASSIGN_OR_RETURN(const bool more, lines_.Next(&line_));
    if (!more) {
      return AtLine(lines_.number(), InvalidArgumentError("the dump ends without \"end\""));
    }
  }
  RETURN_IF_ERROR(assembler.Finish(lines_.number()));
  ASSIGN_OR_RETURN(const bool more, lines_.Next(&line_));
  if (more) return AtLine(lines_.number(), InvalidArgumentError("text behind \"end\""));
  return Status::Ok();
}

}  // namespace daxfs::convert
