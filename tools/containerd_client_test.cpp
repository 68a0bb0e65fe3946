// SPDX-License-Identifier: Apache-2.0
#include "tools/containerd_client.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "common/os/testing/scratch.hpp"
#include "common/rpc/server.hpp"
#include "containerd/introspection.grpc.pb.h"
#include "services/content/v1/content.grpc.pb.h"
#include "services/images/v1/images.grpc.pb.h"
#include "services/version/v1/version.grpc.pb.h"

namespace daxfs::tools {
namespace {

namespace services = ::containerd::services;
using grpc::ServerContext;
using Labels = std::map<std::string, std::string>;

bool IsForPods(const ServerContext& context) {
  const auto found = context.client_metadata().find("containerd-namespace");
  return found != context.client_metadata().end() && found->second == "k8s.io";
}

class VersionService final : public services::version::v1::Version::Service {
 public:
  grpc::Status Version(ServerContext* /*context*/, const google::protobuf::Empty* /*request*/,
                       services::version::v1::VersionResponse* response) override {
    response->set_version("v2.0.1");
    return grpc::Status::OK;
  }
};

class PluginsService final : public services::introspection::v1::Introspection::Service {
 public:
  grpc::Status Plugins(ServerContext* /*context*/,
                       const services::introspection::v1::PluginsRequest* /*request*/,
                       services::introspection::v1::PluginsResponse* response) override {
    services::introspection::v1::Plugin* plugin = response->add_plugins();
    plugin->set_type("io.containerd.snapshotter.v1");
    plugin->set_id("daxfs");
    plugin = response->add_plugins();
    plugin->set_type("io.containerd.differ.v1");
    plugin->set_id("daxfs-diff");
    plugin->mutable_init_err()->set_message("no such socket");
    return grpc::Status::OK;
  }
};

class ImagesService final : public services::images::v1::Images::Service {
 public:
  grpc::Status Get(ServerContext* context, const services::images::v1::GetImageRequest* request,
                   services::images::v1::GetImageResponse* response) override {
    if (!IsForPods(*context) || request->name() != "pause:1") {
      return {grpc::StatusCode::NOT_FOUND, "no image"};
    }
    response->mutable_image()->mutable_target()->set_digest("index");
    response->mutable_image()->mutable_labels()->insert(labels.begin(), labels.end());
    return grpc::Status::OK;
  }
  Labels labels;
};

// Blobs are labels.
class ContentService final : public services::content::v1::Content::Service {
 public:
  grpc::Status Info(ServerContext* context, const services::content::v1::InfoRequest* request,
                    services::content::v1::InfoResponse* response) override {
    const auto found = blobs.find(request->digest());
    if (!IsForPods(*context) || found == blobs.end()) {
      return {grpc::StatusCode::NOT_FOUND, "no blob"};
    }
    response->mutable_info()->mutable_labels()->insert(found->second.begin(), found->second.end());
    return grpc::Status::OK;
  }
  std::map<std::string, Labels> blobs;
};

class ContainerdClientTest : public testing::Test {
 protected:
  ContainerdClientTest() : log_(sink_, {}) {
    server_ = *rpc::Server::Start(*os::ListenUnix(address_),
                                  {&version_, &plugins_, &images_, &content_}, log_);
  }
  SandboxFacts Ask(const std::string& name) {
    const Result<SandboxFacts> facts = AskSandbox(address_, name, "daxfs");
    EXPECT_TRUE(facts.ok()) << facts.status().message();
    return facts.ok() ? *facts : SandboxFacts();
  }

  os::testing::Scratch scratch_;
  const std::string address_ = scratch_.Path("socket");
  base::StderrSink sink_;
  base::Logger log_;
  VersionService version_;
  PluginsService plugins_;
  ImagesService images_;
  ContentService content_;
  std::unique_ptr<rpc::Server> server_;
};

TEST_F(ContainerdClientTest, WhatContainerdSaysOfItself) {
  const Result<ContainerdFacts> facts = AskContainerd(address_);
  ASSERT_TRUE(facts.ok()) << facts.status().message();
  EXPECT_EQ(facts->version, "v2.0.1");
  ASSERT_EQ(facts->plugins.size(), 2U);
  EXPECT_EQ(facts->plugins[0].id, "daxfs");
  EXPECT_EQ(facts->plugins[0].error, "");
  EXPECT_EQ(facts->plugins[1].type, "io.containerd.differ.v1");
  EXPECT_EQ(facts->plugins[1].error, "no such socket");
}

TEST_F(ContainerdClientTest, NobodyThere) {
  server_.reset();
  EXPECT_EQ(AskContainerd(address_).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(AskContainerd(scratch_.Path("none")).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(AskSandbox(address_, "x", "daxfs").status().code(), StatusCode::kUnavailable);
}

TEST_F(ContainerdClientTest, ASandboxIsThereAndUnpacked) {
  EXPECT_FALSE(Ask("other").present);
  EXPECT_TRUE(Ask("pause:1").present);
  EXPECT_FALSE(Ask("pause:1").pinned);
  EXPECT_FALSE(Ask("pause:1").unpacked);
  images_.labels["io.cri-containerd.pinned"] = "pinned";
  content_.blobs["index"] = {{"containerd.io/gc.ref.content.m.0", "elsewhere"},
                             {"containerd.io/gc.ref.content.m.1", "manifest"}};
  content_.blobs["manifest"] = {{"containerd.io/gc.ref.content.config", "config"}};
  content_.blobs["config"] = {{"containerd.io/gc.ref.snapshot.overlayfs", "chain"}};
  EXPECT_TRUE(Ask("pause:1").pinned);
  EXPECT_FALSE(Ask("pause:1").unpacked);
  content_.blobs["config"]["containerd.io/gc.ref.snapshot.daxfs"] = "chain";
  EXPECT_TRUE(Ask("pause:1").unpacked);
}

TEST_F(ContainerdClientTest, ACircleEnds) {
  content_.blobs["index"] = {{"containerd.io/gc.ref.content.m.0", "index"},
                             {"containerd.io/gc.ref.content.m.1", "index"}};
  EXPECT_FALSE(Ask("pause:1").unpacked);
}

}  // namespace
}  // namespace daxfs::tools
