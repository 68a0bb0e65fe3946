// SPDX-License-Identifier: Apache-2.0
#include "tools/doctor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace daxfs::tools {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Verdict VerdictOf(const Findings& findings, const std::string& check) {
  for (const Finding& finding : findings) {
    if (finding.check == check) return finding.verdict;
  }
  ADD_FAILURE() << "no finding " << check;
  return Verdict::kOk;
}

std::vector<std::string> ChecksOf(const Findings& findings) {
  std::vector<std::string> checks;
  for (const Finding& finding : findings) checks.push_back(finding.check);
  return checks;
}

// What is wrong says what to do, what is right does not.
void ExpectFinding(const Finding& finding, Verdict verdict, const std::string& what,
                   const std::string& advice) {
  EXPECT_EQ(finding.verdict, verdict) << finding.what;
  EXPECT_THAT(finding.what, HasSubstr(what));
  EXPECT_THAT(finding.advice, HasSubstr(advice));
  EXPECT_EQ(finding.advice.empty(), advice.empty()) << finding.advice;
}

TEST(DoctorTest, SomebodyHasToMount) {
  ExpectFinding(CheckModule({true, "7", false, false}), Verdict::kOk, "loaded, version 7", "");
  ExpectFinding(CheckModule({true, "", true, true}), Verdict::kOk, "is loaded", "");
  ExpectFinding(CheckModule({false, "", true, true}), Verdict::kWarn, "FUSE", "modprobe daxfs");
  ExpectFinding(CheckModule({false, "", false, true}), Verdict::kFail, "/dev/fuse",
                "modprobe fuse");
  ExpectFinding(CheckModule({false, "", true, false}), Verdict::kFail, "/usr/bin/daxfs-fuse",
                "install daxfs-tools");
}

pool::HostIdentity HostCalled(const std::string& name) {
  pool::HostIdentity host;
  host.id.fill(std::byte{7});
  host.name = name;
  return host;
}

TEST(DoctorTest, AHostHasAnId) {
  ExpectFinding(CheckHost(HostCalled("a")), Verdict::kOk, "07070707-", "");
  ExpectFinding(CheckHost(FailedPreconditionError("no id")), Verdict::kFail, "no id",
                "random/uuid");
}

PoolFacts GoodPool() {
  PoolFacts facts;
  facts.name = "p";
  facts.uuid = "the-uuid";
  facts.size_bytes = 100;
  facts.free_bytes = 10;
  pool::HostView host;
  host.id.fill(std::byte{7});
  host.name = "a";
  facts.hosts = {host};
  return facts;
}

TEST(DoctorTest, APoolIsOpenedAndLookedThrough) {
  const auto host = HostCalled("a");
  const Findings good = CheckPoolFacts(GoodPool(), host);
  EXPECT_THAT(ChecksOf(good), ElementsAre("pool", "pool-room", "pool-damage", "host-unique"));
  for (const Finding& finding : good) EXPECT_EQ(finding.verdict, Verdict::kOk) << finding.what;
  EXPECT_THAT(good[0].what, HasSubstr("the-uuid"));
  EXPECT_EQ(CheckPoolFacts(GoodPool(), std::nullopt).size(), 3U);

  PoolFacts facts = GoodPool();
  facts.free_bytes = 9;
  ExpectFinding(CheckPoolFacts(facts, host)[1], Verdict::kWarn, "9 B of 100 B free",
                "it cannot grow");
  facts.absent_bytes = 7;
  ExpectFinding(CheckPoolFacts(facts, host)[1], Verdict::kWarn, "9 B of 100 B free",
                "by up to 7 B: daxfsctl pool resize p SIZE");
  facts.collectable_bytes = 5;
  ExpectFinding(CheckPoolFacts(facts, host)[1], Verdict::kWarn, "free",
                "5 B would go by: daxfsctl");
  facts.faults = 2;
  facts.first_fault = "row 3";
  ExpectFinding(CheckPoolFacts(facts, host)[2], Verdict::kFail, "2 damaged places: row 3",
                "daxfsctl pool check p");
  ExpectFinding(CheckPoolFacts(GoodPool(), HostCalled("b"))[3], Verdict::kWarn, "\"a\"",
                "cat /proc/sys/kernel/random/uuid > /etc/daxfs/host-id");

  facts.status = NotFoundError("no such file");
  const Findings bad = CheckPoolFacts(facts, host);
  ASSERT_EQ(bad.size(), 1U);
  ExpectFinding(bad[0], Verdict::kFail, "no such file", "daxfsctl pool create p --size SIZE");
  facts.status = InvalidArgumentError("line 3: no such key");
  ExpectFinding(CheckPoolFacts(facts, host)[0], Verdict::kFail, "line 3", "pools.d/p.yaml");
  facts.status = FailedPreconditionError("not attached");
  facts.attachable = true;
  ExpectFinding(CheckPoolFacts(facts, host)[0], Verdict::kFail, "not attached",
                "systemctl enable --now daxfs-pool@p");
  facts.attachable = false;
  ExpectFinding(CheckPoolFacts(facts, host)[0], Verdict::kFail, "not attached", "pools.d/p.yaml");
  facts.status = Status(StatusCode::kPermissionDenied, "why");
  ExpectFinding(CheckPoolFacts(facts, host)[0], Verdict::kFail, "why", "as root");
}

TEST(DoctorTest, TheConfigurationCanBeRead) {
  ExpectFinding(CheckConfig("/c", Status::Ok()), Verdict::kOk, "/c can be read", "");
  ExpectFinding(CheckConfig("/c", NotFoundError("why")), Verdict::kOk, "/c is not there", "");
  ExpectFinding(CheckConfig("/c", NotFoundError("why"), true), Verdict::kFail, "why",
                "--check-config --config /c");
  ExpectFinding(CheckConfig("/c", Status(StatusCode::kPermissionDenied, "/c: why")), Verdict::kWarn,
                "/c: why", "as root");
  ExpectFinding(CheckConfig("/c", InvalidArgumentError("/c: line 3: why")), Verdict::kFail,
                "/c: line 3: why", "--check-config --config /c");
}

TEST(DoctorTest, TheDaemonAnswers) {
  DaemonStatus status;
  status.version = "1";
  status.root = "/r";
  ExpectFinding(CheckDaemon(status, "1"), Verdict::kOk, "1 serves /r since 1970-01-01T00:00:00Z",
                "");
  ExpectFinding(CheckDaemon(status, "2"), Verdict::kWarn, "this daxfsctl is 2", "restart");
  const std::vector<std::pair<StatusCode, std::string>> table = {
      {StatusCode::kUnavailable, "systemctl start"},
      {StatusCode::kUnimplemented, "systemctl restart"},
      {StatusCode::kPermissionDenied, "as root"},
      {StatusCode::kDeadlineExceeded, "journalctl"},
  };
  for (const auto& [code, advice] : table) {
    ExpectFinding(CheckDaemon(Status(code, "why"), "1"), Verdict::kFail, "why", advice);
  }
}

TEST(DoctorTest, TheDaemonHasItsPool) {
  DaemonStatus status;
  const ModuleFacts loaded{true, "", true, true};
  const ModuleFacts absent{false, "", true, true};
  ExpectFinding(CheckDaemonPool(status, std::nullopt, loaded), Verdict::kWarn, "no pool",
                "snapshotter.yaml");
  status.pool = "p";
  status.why_no_pool = "the device is gone";
  ExpectFinding(CheckDaemonPool(status, std::nullopt, loaded), Verdict::kFail, "the device is gone",
                "daxfsctl pool info p");
  status.pool_uuid = "the-uuid";
  ExpectFinding(CheckDaemonPool(status, GoodPool(), loaded), Verdict::kFail, "cannot mount",
                "journalctl");
  status.backend = "kernel";
  ExpectFinding(CheckDaemonPool(status, GoodPool(), loaded), Verdict::kOk, "by kernel", "");
  ExpectFinding(CheckDaemonPool(status, std::nullopt, loaded), Verdict::kOk, "by kernel", "");
  status.backend = "fuse";
  ExpectFinding(CheckDaemonPool(status, GoodPool(), absent), Verdict::kOk, "by fuse", "");
  ExpectFinding(CheckDaemonPool(status, GoodPool(), loaded), Verdict::kWarn, "by fuse",
                "daxfs-pool@p");
  status.pool_uuid = "another";
  ExpectFinding(CheckDaemonPool(status, GoodPool(), loaded), Verdict::kFail, "another", "restart");
}

TEST(DoctorTest, OverlayNeedsAFileSystem) {
  ExpectFinding(CheckRoot("/r", os::UpperFacts{"ext4", true, true}), Verdict::kOk, "/r is on ext4",
                "");
  ExpectFinding(CheckRoot("/r", os::UpperFacts{"overlay", true, true}), Verdict::kFail, "overlay",
                "`root:`");
  ExpectFinding(CheckRoot("/r", os::UpperFacts{"xfs", false, true}), Verdict::kFail, "d_type",
                "ftype=1");
  ExpectFinding(CheckRoot("/r", os::UpperFacts{"vfat", true, false}), Verdict::kFail, "trusted.*",
                "`root:`");
  ExpectFinding(CheckRoot("/r", Status(StatusCode::kPermissionDenied, "no")), Verdict::kWarn, "no",
                "as root");
  ExpectFinding(CheckRoot("/r", NotFoundError("none")), Verdict::kWarn, "none", "systemctl start");
}

TEST(DoctorTest, ImagesAreThere) {
  std::vector<SnapshotView> snapshots(3);
  snapshots[0].state = "directory";
  snapshots[1].state = snapshots[2].state = "placed";
  const auto check = [&] { return CheckImages(snapshots); };
  ExpectFinding(check(), Verdict::kOk, "3 snapshots, 2 of images, all there", "");
  snapshots[1].state = "rebuilding";
  ExpectFinding(check(), Verdict::kWarn, "1 are being placed again", "wait");
  snapshots[1].state = "unknown";
  ExpectFinding(check(), Verdict::kWarn, "cannot be asked", "journalctl");
  snapshots[2].state = "missing";
  ExpectFinding(check(), Verdict::kFail, "2 of images: 1 of them are not in the pool",
                "daxfsctl snapshot ls --missing");
  ExpectFinding(CheckImages(DataLossError("damaged")), Verdict::kFail, "damaged", "journalctl");
}

TEST(DoctorTest, VersionsAsContainerdWritesThem) {
  const std::vector<std::pair<std::string, std::optional<ContainerdVersion>>> table = {
      {"v1.7.13", {{1, 7, 13}}}, {"1.6.20~ds1", {{1, 6, 20}}}, {"v2.0.0-rc.1", {{2, 0, 0}}},
      {"v2.4", {{2, 4, 0}}},     {"unknown", std::nullopt},    {"", std::nullopt},
  };
  for (const auto& [text, version] : table) EXPECT_EQ(ParseVersion(text), version) << text;
}

// A containerd of that version in which all is right.
ContainerdFacts Containerd(const std::string& version) {
  return {version,
          {{"io.containerd.snapshotter.v1", "daxfs", ""},
           {"io.containerd.differ.v1", "daxfs-diff", ""}}};
}
ContainerdConfig Configured() {
  return {"test",
          {{"overlayfs", "walking"}, {"daxfs", "daxfs-diff"}},
          {"daxfs-diff", "walking"},
          "daxfs",
          "pause"};
}

TEST(DoctorTest, WhatIsRightDependsOnContainerdsVersion) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> table = {
      {"1.6.20~ds1", {"containerd", "plugin", "differ", "pods"}},
      {"v1.7.4", {"containerd", "plugin", "differ", "diff-service", "pods"}},
      {"v2.3.4", {"containerd", "plugin", "differ", "unpack", "diff-service", "pods"}},
  };
  for (const auto& [version, checks] : table) {
    const Findings findings = CheckContainerd(Containerd(version), Configured());
    EXPECT_EQ(ChecksOf(findings), checks);
    for (const Finding& finding : findings) {
      const bool old = finding.check == "differ" && version.starts_with("1.6");
      EXPECT_EQ(finding.verdict, old ? Verdict::kWarn : Verdict::kOk) << finding.what;
    }
  }
  const Findings old = CheckContainerd(Containerd("v1.7.3"), Configured());
  ExpectFinding(old[2], Verdict::kWarn, "no proxy differs", "1.7.4 or later");
  EXPECT_EQ(VerdictOf(CheckContainerd(Containerd("v1.5.0"), Configured()), "containerd"),
            Verdict::kWarn);
  EXPECT_EQ(VerdictOf(CheckContainerd(Containerd("odd"), Configured()), "containerd"),
            Verdict::kWarn);
}

TEST(DoctorTest, ContainerdHasToKnowUs) {
  ContainerdFacts facts = Containerd("v2.0.0");
  facts.plugins[0].error = "dial unix: no such file";
  facts.plugins.pop_back();
  const Findings findings = CheckContainerd(facts, Configured());
  ExpectFinding(findings[1], Verdict::kFail, "does not work: dial unix", "restart containerd");
  ExpectFinding(findings[2], Verdict::kFail, "no plugin io.containerd.differ.v1 daxfs-diff",
                "/usr/share/daxfs/containerd/2.x.toml");
  facts.version = "1.6.1";
  facts.plugins.clear();
  ExpectFinding(CheckContainerd(facts, Configured())[1], Verdict::kFail, "no plugin",
                "containerd/1.6.toml");
  const Findings silent =
      CheckContainerd(Status(StatusCode::kUnavailable, "refused"), Configured());
  ASSERT_EQ(silent.size(), 1U);
  ExpectFinding(silent[0], Verdict::kFail, "refused", "systemctl start containerd");
  ExpectFinding(CheckContainerd(Status(StatusCode::kPermissionDenied, "no"), Configured())[0],
                Verdict::kFail, "no", "as root");
}

TEST(DoctorTest, AConfigurationThatCannotBeReadStopsContainerdOneDay) {
  const Status damaged(StatusCode::kFailedPrecondition, "line 3");
  for (const Result<ContainerdFacts>& containerd :
       {Result<ContainerdFacts>(Containerd("v2.3.4")),
        Result<ContainerdFacts>(Status(StatusCode::kUnavailable, "refused"))}) {
    const Findings findings = CheckContainerd(containerd, damaged);
    ExpectFinding(findings.back(), Verdict::kFail, "cannot be read: line 3", "config dump");
  }
  const Status missing(StatusCode::kNotFound, "none");
  EXPECT_EQ(VerdictOf(CheckContainerd(Containerd("v2.3.4"), missing), "configuration"),
            Verdict::kWarn);
}

TEST(DoctorTest, ContainerdHasToUnpackIntoUs) {
  const ContainerdFacts facts = Containerd("v2.0.0");
  const auto with = [&](const ContainerdConfig& config, std::size_t at) {
    return CheckContainerd(facts, config).at(at);
  };
  ContainerdConfig config = Configured();
  config.unpack.pop_back();
  ExpectFinding(with(config, 3), Verdict::kFail, "no unpack platforms defined", "2.x.toml");
  config.unpack.push_back({"daxfs", "walking"});
  ExpectFinding(with(config, 3), Verdict::kFail, "the differ \"walking\"",
                "differ = \"daxfs-diff\"");
  config.differs = {"walking", "daxfs-diff"};
  ExpectFinding(with(config, 4), Verdict::kFail, "diff service", "2.x.toml");
  config.pods_snapshotter = "";
  ExpectFinding(with(config, 5), Verdict::kOk, "pods' images are in overlayfs, not in daxfs", "");
}

TEST(DoctorTest, PodsNeedTheirImage) {
  ExpectFinding(CheckSandbox("p", SandboxFacts{true, true, true}), Verdict::kOk, "pinned", "");
  ExpectFinding(CheckSandbox("p", SandboxFacts{true, true, false}), Verdict::kFail,
                "not in daxfs: no pod starts", "pull --snapshotter daxfs p");
  ExpectFinding(CheckSandbox("p", SandboxFacts{true, false, true}), Verdict::kWarn,
                "kubelet may remove it", "io.cri-containerd.pinned=pinned");
  ExpectFinding(CheckSandbox("p", SandboxFacts{}), Verdict::kWarn, "not there", "pull");
  ExpectFinding(CheckSandbox("p", Status(StatusCode::kUnavailable, "gone")), Verdict::kWarn, "gone",
                "systemctl start containerd");
}

}  // namespace
}  // namespace daxfs::tools
