// SPDX-License-Identifier: Apache-2.0
// daxfs-fuse mounted in a mount namespace of the test's own: every byte it shows is compared with
// common/format, by eight threads at once; damaged images give errors and nothing worse.
#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "common/convert/testing/build.hpp"
#include "common/format/walk.hpp"
#include "common/os/testing/mounts.hpp"
#include "common/os/testing/scratch.hpp"
#include "common/os/unique_fd.hpp"

namespace daxfs::tools {
namespace {

using convert::kTypeDirectory;
using convert::kTypeFile;
using convert::Node;
using convert::NodeId;
using convert::Tree;
using convert::testing::BuiltImage;
using format::Image;
using format::Inode;
using os::testing::MountLine;
using os::testing::Scratch;
using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;
constexpr std::uint64_t kHugeHole = std::uint64_t{5} << 40U;

bool IsMounted(const std::string& path) { return !MountLine(path).empty(); }

// One running daxfs-fuse; what it says goes to a file.
class Mounted {
 public:
  Mounted(const std::string& image, const std::string& mountpoint, const std::string& log)
      : mountpoint_(mountpoint) {
    ::mkdir(mountpoint.c_str(), 0755);
    pid_ = ::fork();
    if (pid_ == 0) {
      const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      ::dup2(fd, STDERR_FILENO);
      ::execl(DAXFS_FUSE_PROGRAM, "daxfs-fuse", "-f", "-o", "dev", image.c_str(),
              mountpoint.c_str(), nullptr);
      ::_exit(127);
    }
    for (int i = 0; i < 15000 && !IsMounted(mountpoint); ++i) {
      if (::waitpid(pid_, &status_, WNOHANG) == pid_) {
        pid_ = -1;
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    mounted_ = IsMounted(mountpoint);
  }
  Mounted(const Mounted&) = delete;
  Mounted& operator=(const Mounted&) = delete;
  ~Mounted() { static_cast<void>(Stop(SIGTERM)); }

  bool mounted() const { return mounted_; }
  // The exit status after `signal`, -1 for a death by signal.
  int Stop(int signal) {
    if (pid_ > 0) {
      ::kill(pid_, signal);
      ::waitpid(pid_, &status_, 0);
      pid_ = -1;
    }
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
  }

 private:
  const std::string mountpoint_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool mounted_ = false;
};

std::string Noise(std::size_t size, unsigned seed) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>((seed = seed * 1664525U + 1013904223U) >> 24U);
  return text;
}

Node MakeNode(std::uint32_t mode) {
  Node node;
  node.attributes.mode = mode;
  node.attributes.uid = 4000000000;
  node.attributes.gid = 7;
  node.attributes.mtime_seconds = -2;
  node.attributes.mtime_nanoseconds = 500000000;
  return node;
}

void AddFile(BuiltImage& image, NodeId directory, const std::string& name,
             const std::vector<std::pair<std::uint64_t, std::string>>& parts) {
  Node node = MakeNode(kTypeFile | 0640);
  for (const auto& [zeros, text] : parts) node.size_bytes += zeros + text.size();
  convert::DataWriter& data = image.builder().data();
  ASSERT_TRUE(data.Begin(node.size_bytes).ok());
  for (const auto& [zeros, text] : parts) {
    if (zeros > 0) {
      ASSERT_TRUE(data.AppendZeros(zeros).ok());
    }
    ASSERT_TRUE(data.Append(std::as_bytes(std::span(text))).ok());
  }
  node.data = *data.End();
  node.xattrs = *image.builder().xattrs().Intern({{"user.name", name}});
  ASSERT_TRUE(image.builder().tree().Add(directory, name, std::move(node)).ok());
}

void AddSpecials(BuiltImage& image) {
  Tree& tree = image.builder().tree();
  Node link = MakeNode(convert::kTypeSymlink | 0777);
  link.target = "\xfe to/" + std::string(4000, 't');
  const NodeId id = *tree.Add(Tree::kRoot, "link", std::move(link));
  ASSERT_TRUE(tree.Link(Tree::kRoot, "link-again", id).ok());
  for (const auto& [name, mode] : std::vector<std::pair<std::string, std::uint32_t>>{
           {"null", 0020666}, {"block", 0060600}, {"fifo", 0010600}, {"socket", 0140755}}) {
    Node node = MakeNode(mode);
    node.attributes.rdev_major = name == "null" ? 1 : name == "block" ? 4095 : 0;
    node.attributes.rdev_minor = name == "null" ? 3 : name == "block" ? 1048575 : 0;
    ASSERT_TRUE(tree.Add(Tree::kRoot, name, std::move(node)).ok());
  }
}

// One of everything that is hard somewhere between us and the reader.
std::string MakeImage() {
  convert::BuildOptions options;
  options.layout.huge_min_bytes = 4 * kMiB;
  BuiltImage image(options);
  convert::ImageBuilder& builder = image.builder();
  AddFile(image, Tree::kRoot, "small", {{0, "content"}});
  AddFile(image, Tree::kRoot, "empty", {});
  AddFile(image, Tree::kRoot, "\xff\n odd", {{0, Noise(70000, 1)}});
  AddFile(image, Tree::kRoot, "huge", {{0, Noise(5 * kMiB + 3, 2)}});
  AddFile(image, Tree::kRoot, "sparse",
          {{kMiB, "island"}, {3 * kMiB, Noise(200000, 3)}, {kMiB, ""}});
  AddFile(image, Tree::kRoot, "5T", {{kHugeHole, "end"}});
  AddSpecials(image);
  const NodeId many = *builder.tree().Add(Tree::kRoot, "many", MakeNode(kTypeDirectory | 0755));
  for (int i = 0; i < 3000; ++i) {
    const std::string number = std::to_string(i);
    AddFile(image, many, number + std::string(static_cast<std::size_t>(i % 200), 'n'),
            {{0, number}});
  }
  Node xattrs = MakeNode(kTypeDirectory | 01777);
  convert::XattrMap map = {{"user.large", Noise(65536, 4)}, {"user.empty", ""}};
  map["security.capability"] = std::string("\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  map["trusted.overlay.opaque"] = "y";
  for (int i = 0; i < 250; ++i)
    map["user." + std::to_string(i)] = Noise(static_cast<std::size_t>(i), 5);
  xattrs.xattrs = *builder.xattrs().Intern(map);
  NodeId at = *builder.tree().Add(Tree::kRoot, "xattrs", std::move(xattrs));
  for (int i = 0; i < 12; ++i)
    at = *builder.tree().Add(at, "deep", MakeNode(kTypeDirectory | 0700));
  AddFile(image, at, "bottom", {{0, "found"}});
  EXPECT_TRUE(image.Finish().ok());
  return image.bytes();
}

void CompareAttributes(const Inode& inode, const std::string& path) {
  struct stat got {};
  ASSERT_EQ(::lstat(path.c_str(), &got), 0) << path << " " << errno;
  EXPECT_EQ(got.st_ino, inode.number) << path;
  EXPECT_EQ(got.st_mode, inode.mode) << path;
  EXPECT_EQ(got.st_nlink, inode.link_count) << path;
  EXPECT_EQ(got.st_uid, inode.uid) << path;
  EXPECT_EQ(got.st_gid, inode.gid) << path;
  EXPECT_EQ(static_cast<std::uint64_t>(got.st_size), inode.size_bytes) << path;
  EXPECT_EQ(static_cast<std::uint64_t>(got.st_blocks), inode.allocated_bytes / 512) << path;
  EXPECT_EQ(got.st_mtim.tv_sec, inode.mtime_seconds) << path;
  EXPECT_EQ(static_cast<std::uint32_t>(got.st_mtim.tv_nsec), inode.mtime_nanoseconds) << path;
  if (!S_ISCHR(inode.mode) && !S_ISBLK(inode.mode)) return;
  EXPECT_EQ(major(got.st_rdev), inode.device_major) << path;
  EXPECT_EQ(minor(got.st_rdev), inode.device_minor) << path;
}

void CompareXattrs(const Image& image, const Inode& inode, const std::string& path) {
  const std::vector<format::XattrEntry> want = *image.Xattrs(inode);
  std::string names(65536, '\0');
  const ssize_t length = ::llistxattr(path.c_str(), names.data(), names.size());
  ASSERT_GE(length, 0) << path << " " << errno;
  EXPECT_EQ(::llistxattr(path.c_str(), nullptr, 0), length);
  std::string wanted;
  for (const format::XattrEntry& entry : want) wanted += std::string(entry.name) + '\0';
  EXPECT_EQ(names.substr(0, static_cast<std::size_t>(length)), wanted) << path;
  std::string value(65536, '\0');
  for (const format::XattrEntry& entry : want) {
    const std::string name(entry.name);
    const ssize_t n = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    ASSERT_EQ(n, static_cast<ssize_t>(entry.value.size())) << path << " " << name;
    EXPECT_TRUE(std::string_view(value).substr(0, entry.value.size()) == entry.value)
        << path << " " << name;
  }
  EXPECT_EQ(::lgetxattr(path.c_str(), "user.none", nullptr, 0), -1);
  EXPECT_EQ(errno, ENODATA);
}

void CompareBytes(const Image& image, const Inode& inode, const std::string& path,
                  std::size_t step) {
  const os::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(fd.valid()) << path << " " << errno;
  const std::string want = convert::testing::ReadAll(image, inode);
  std::string got(want.size() + 10, '\0');
  std::size_t done = 0;
  for (ssize_t n = 1; n > 0; done += static_cast<std::size_t>(std::max<ssize_t>(n, 0))) {
    n = ::pread(fd.get(), got.data() + done, std::min(step, got.size() - done),
                static_cast<off_t>(done));
    ASSERT_GE(n, 0) << path << " " << errno;
  }
  EXPECT_EQ(done, want.size()) << path;
  EXPECT_TRUE(std::string_view(got).substr(0, want.size()) == want) << path;
  if (want.empty()) return;
  void* mapped = ::mmap(nullptr, want.size(), PROT_READ, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  EXPECT_TRUE(std::string_view(static_cast<const char*>(mapped), want.size()) == want) << path;
  ::munmap(mapped, want.size());
}

void CompareHoles(const Image& image, const Inode& inode, const std::string& path) {
  const os::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  for (std::uint64_t at = 0; at < inode.size_bytes;) {
    const format::DataRun run = *image.RunAt(inode, at);
    const auto here = static_cast<off_t>(at);
    EXPECT_EQ(::lseek(fd.get(), here, run.hole ? SEEK_HOLE : SEEK_DATA), here) << path;
    at += run.length;
    if (run.hole && at == inode.size_bytes) {
      EXPECT_EQ(::lseek(fd.get(), here, SEEK_DATA), -1) << path;
    } else if (run.hole) {
      EXPECT_EQ(::lseek(fd.get(), here, SEEK_DATA), static_cast<off_t>(at)) << path;
    }
  }
  EXPECT_EQ(::lseek(fd.get(), static_cast<off_t>(inode.size_bytes), SEEK_DATA), -1);
  EXPECT_EQ(errno, ENXIO);
}

// In the image's order, and from any offset the same again.
void CompareEntries(const Image& image, const Inode& inode, const std::string& path) {
  DIR* stream = ::opendir(path.c_str());
  ASSERT_NE(stream, nullptr) << path << " " << errno;
  std::vector<std::pair<long, std::string>> seen;
  for (long offset = ::telldir(stream); const struct dirent* entry = ::readdir(stream);
       offset = ::telldir(stream)) {
    seen.emplace_back(offset, entry->d_name);
    if (seen.size() <= 2) continue;
    const format::DirectoryEntry want = *image.Entry(inode, seen.size() - 3);
    EXPECT_EQ(entry->d_name, want.name);
    EXPECT_EQ(entry->d_ino, want.number);
    EXPECT_EQ(entry->d_type, want.type);
  }
  ASSERT_EQ(seen.size(), inode.entries + 2) << path;
  for (std::size_t i = 0; i < seen.size(); i += 97) {
    ::seekdir(stream, seen[i].first);
    const struct dirent* entry = ::readdir(stream);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->d_name, seen[i].second);
  }
  ::closedir(stream);
}

void CompareOne(const Image& image, const Inode& inode, const std::string& path, std::size_t step) {
  CompareAttributes(inode, path);
  if (!S_ISLNK(inode.mode)) CompareXattrs(image, inode, path);
  if (S_ISDIR(inode.mode)) CompareEntries(image, inode, path);
  if (S_ISREG(inode.mode)) CompareHoles(image, inode, path);
  if (S_ISREG(inode.mode) && inode.size_bytes < 100 * kMiB) CompareBytes(image, inode, path, step);
  if (!S_ISLNK(inode.mode)) return;
  std::string target(5000, '\0');
  const ssize_t n = ::readlink(path.c_str(), target.data(), target.size());
  EXPECT_EQ(target.substr(0, static_cast<std::size_t>(std::max<ssize_t>(n, 0))),
            *image.SymlinkTarget(inode));
}

class DaxfsFuseTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string why_not = os::testing::WhyNoMounts();
    if (!why_not.empty()) GTEST_SKIP() << "daxfs-fuse is not mounted here: " << why_not;
  }
  const Scratch scratch_;
};

TEST_F(DaxfsFuseTest, EightReadersSeeTheImage) {
  os::testing::WriteFile(scratch_.Path("im,age"), MakeImage());
  const Image image = *Image::Open(scratch_.Path("im,age"));
  Mounted fuse(scratch_.Path("im,age"), scratch_.Path("m"), scratch_.Path("log"));
  ASSERT_TRUE(fuse.mounted()) << os::testing::ReadFile(scratch_.Path("log"));
  std::vector<format::WalkEntry> entries;
  format::TreeWalk walk(image);
  for (format::WalkEntry entry; *walk.Next(&entry);) entries.push_back(entry);
  ASSERT_GT(entries.size(), 3000U);
  std::vector<std::thread> readers;
  for (std::size_t reader = 0; reader < 8; ++reader) {
    readers.emplace_back([&, reader] {
      for (std::size_t i = 0; i < entries.size(); ++i) {
        const format::WalkEntry& entry =
            entries[(i + reader * entries.size() / 8) % entries.size()];
        CompareOne(image, entry.inode, scratch_.Path("m") + entry.path, 4096 + reader * 12345);
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  std::array<char, 8> end{};
  const os::UniqueFd large(::open(scratch_.Path("m/5T").c_str(), O_RDONLY));
  EXPECT_EQ(::pread(large.get(), end.data(), end.size(), static_cast<off_t>(kHugeHole - 2)), 5);
  EXPECT_EQ(std::string(end.data(), 5), std::string("\0\0end", 5));
  EXPECT_EQ(fuse.Stop(SIGTERM), 0);
}

TEST_F(DaxfsFuseTest, AMountThatSaysWhatItIs) {
  os::testing::WriteFile(scratch_.Path("image"), MakeImage());
  for (const int signal : {SIGTERM, SIGINT}) {
    Mounted fuse(scratch_.Path("image"), scratch_.Path("m"), scratch_.Path("log"));
    ASSERT_TRUE(fuse.mounted()) << os::testing::ReadFile(scratch_.Path("log"));
    EXPECT_THAT(MountLine(scratch_.Path("m")),
                HasSubstr("daxfs-fuse\\043" + scratch_.Path("image") + " " + scratch_.Path("m") +
                          " fuse.daxfs ro,"));
    struct statvfs statistics {};
    ASSERT_EQ(::statvfs(scratch_.Path("m").c_str(), &statistics), 0);
    EXPECT_EQ(statistics.f_blocks * 4096, std::filesystem::file_size(scratch_.Path("image")));
    EXPECT_EQ(statistics.f_bfree, 0U);
    EXPECT_EQ(::open(scratch_.Path("m/small").c_str(), O_WRONLY), -1);
    EXPECT_EQ(errno, EROFS);
    EXPECT_EQ(::mkdir(scratch_.Path("m/new").c_str(), 0755), -1);
    EXPECT_EQ(errno, EROFS);
    EXPECT_EQ(::access(scratch_.Path("m/none").c_str(), F_OK), -1);
    EXPECT_EQ(errno, ENOENT);
    const os::UniqueFd null(::open(scratch_.Path("m/null").c_str(), O_RDWR));
    EXPECT_TRUE(null.valid()) << errno;  // -o dev
    EXPECT_EQ(::write(null.get(), "x", 1), 1);
    EXPECT_EQ(fuse.Stop(signal), 0);
    EXPECT_THAT(os::testing::ReadFile(scratch_.Path("log")),
                HasSubstr("this is not the kernel module"));
    EXPECT_FALSE(IsMounted(scratch_.Path("m")));
  }
}

TEST_F(DaxfsFuseTest, UmountEndsIt) {
  os::testing::WriteFile(scratch_.Path("image"), MakeImage());
  Mounted fuse(scratch_.Path("image"), scratch_.Path("m"), scratch_.Path("log"));
  ASSERT_TRUE(fuse.mounted());
  ASSERT_EQ(::umount(scratch_.Path("m").c_str()), 0);
  EXPECT_EQ(fuse.Stop(0), 0);  // no signal: it leaves by itself
}

// Touches everything below `path`; the errnos that came.
void Touch(const std::string& path, int depth, std::vector<int>* errors) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return errors->push_back(errno);
  std::string buffer(70000, '\0');
  if (::llistxattr(path.c_str(), buffer.data(), buffer.size()) < 0) errors->push_back(errno);
  if (::lgetxattr(path.c_str(), "user.empty", buffer.data(), buffer.size()) < 0)
    errors->push_back(errno);
  if (S_ISLNK(info.st_mode) && ::readlink(path.c_str(), buffer.data(), buffer.size()) < 0)
    errors->push_back(errno);
  if (S_ISREG(info.st_mode)) {
    const os::UniqueFd fd(::open(path.c_str(), O_RDONLY));
    if (!fd.valid() || ::read(fd.get(), buffer.data(), buffer.size()) < 0) errors->push_back(errno);
    if (fd.valid() && ::lseek(fd.get(), 0, SEEK_DATA) < 0) errors->push_back(errno);
  }
  if (!S_ISDIR(info.st_mode) || depth == 0) return;
  DIR* stream = ::opendir(path.c_str());
  if (stream == nullptr) return errors->push_back(errno);
  errno = 0;
  while (const struct dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") Touch(path + "/" + name, depth - 1, errors);
    errno = 0;
  }
  if (errno != 0) errors->push_back(errno);
  ::closedir(stream);
}

TEST_F(DaxfsFuseTest, DamagedImagesGiveErrorsAndNothingWorse) {
  int refused = 0;
  int unclean = 0;
  for (const auto& file : std::filesystem::directory_iterator(DAXFS_MUST_FAIL_DIR)) {
    if (file.path().extension() != ".daxfs") continue;
    SCOPED_TRACE(file.path().filename().string());
    Mounted fuse(file.path().string(), scratch_.Path("m"), scratch_.Path("log"));
    if (!fuse.mounted()) {
      EXPECT_EQ(fuse.Stop(0), 1);
      ++refused;
      continue;
    }
    std::vector<int> errors;
    Touch(scratch_.Path("m"), 5, &errors);
    unclean += std::count(errors.begin(), errors.end(), EUCLEAN) > 0 ? 1 : 0;
    EXPECT_EQ(std::count(errors.begin(), errors.end(), ENOTCONN), 0);  // it died
    EXPECT_EQ(fuse.Stop(SIGTERM), 0);
  }
  EXPECT_GT(refused, 15);
  EXPECT_GT(unclean, 30);
}

}  // namespace
}  // namespace daxfs::tools
