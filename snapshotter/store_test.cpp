// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "common/os/testing/scratch.hpp"

namespace daxfs::snapshotter {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Status Nothing(const Snapshot& /*snapshot*/) { return Status::Ok(); }

oci::Digest Numbered(unsigned char number) {
  oci::Digest digest;
  digest.bytes.fill(static_cast<std::byte>(number));
  return digest;
}

Info Named(const char* name) {
  Info info;
  info.name = name;
  return info;
}

class StoreTest : public testing::Test {
 protected:
  StoreTest() { Reopen(); }
  void Reopen() {
    store_.reset();
    Result<std::unique_ptr<Store>> store = Store::Open(scratch_.Path("snapshots.db"));
    ASSERT_TRUE(store.ok()) << store.status().message();
    store_ = *std::move(store);
  }
  StatusCode Create(Kind kind, const std::string& key, const std::string& parent = "",
                    const Labels& labels = {}) {
    return store_->Create(kind, key, parent, labels, Nothing).status().code();
  }
  StatusCode Commit(const std::string& name, const std::string& key, const std::string& parent = "",
                    const Labels& labels = {}) {
    return store_->Commit({name, key, parent, labels}, Nothing).status().code();
  }
  // A committed snapshot of that name.
  void Committed(const std::string& name, const std::string& parent = "") {
    ASSERT_EQ(Create(Kind::kActive, name + "-active", parent), StatusCode::kOk);
    ASSERT_EQ(Commit(name, name + "-active"), StatusCode::kOk);
  }
  std::vector<std::string> Names(const std::vector<std::string>& filters = {}) {
    std::vector<std::string> names;
    for (const Snapshot& snapshot : *store_->List(*Filter::Parse(filters))) {
      names.push_back(snapshot.info.name);
    }
    return names;
  }

  os::testing::Scratch scratch_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreTest, WhatIsCreatedIsFoundAlsoAfterARestart) {
  Committed("base");
  const Labels labels = {{"containerd.io/snapshot/a.b", "x"}, {"empty", ""}};
  const Result<Snapshot> made = store_->Create(Kind::kActive, "k s/\"1\"", "base", labels, Nothing);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->info.created_ns, made->info.updated_ns);
  EXPECT_GT(made->info.created_ns, 0);
  EXPECT_THAT(made->info.labels, ElementsAre(std::pair("containerd.io/snapshot/a.b", "x")));
  ASSERT_EQ(made->parents.size(), 1U);
  const std::string instance = store_->instance();
  Reopen();
  EXPECT_EQ(store_->instance(), instance);
  const Result<Snapshot> found = store_->Get("k s/\"1\"");
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->info, made->info);
  EXPECT_EQ(found->layer.id, made->layer.id);
  EXPECT_EQ(store_->GetById(made->layer.id)->info, made->info);
  EXPECT_EQ(*store_->Stat("k s/\"1\""), made->info);
}

struct Refusal {
  const char* what;
  StatusCode code;
  StatusCode expected;
};

TEST_F(StoreTest, RefusesAsContainerdsOwnStore) {
  Committed("c1");
  Committed("c2", "c1");
  ASSERT_EQ(Create(Kind::kActive, "a1", "c1"), StatusCode::kOk);
  ASSERT_EQ(Create(Kind::kActive, "a2"), StatusCode::kOk);
  ASSERT_EQ(Create(Kind::kView, "v1", "c1"), StatusCode::kOk);
  const Refusal refusals[] = {
      {"a key twice", Create(Kind::kActive, "a1"), StatusCode::kAlreadyExists},
      {"a view's", Create(Kind::kView, "v1"), StatusCode::kAlreadyExists},
      {"a name", Create(Kind::kActive, "c1"), StatusCode::kAlreadyExists},
      {"no parent", Create(Kind::kActive, "x", "none"), StatusCode::kNotFound},
      {"active parent", Create(Kind::kView, "x", "a1"), StatusCode::kInvalidArgument},
      {"commit none", Commit("n", "none"), StatusCode::kNotFound},
      {"commit a view", Commit("n", "v1"), StatusCode::kFailedPrecondition},
      {"commit twice", Commit("n", "c1"), StatusCode::kFailedPrecondition},
      {"commit to a name", Commit("c2", "a1"), StatusCode::kAlreadyExists},
      {"to its own name", Commit("a1", "a1"), StatusCode::kAlreadyExists},
      {"another parent", Commit("n", "a1", "c2"), StatusCode::kInvalidArgument},
      {"a missing parent", Commit("n", "a2", "none"), StatusCode::kNotFound},
      {"an active parent", Commit("n", "a2", "a1"), StatusCode::kFailedPrecondition},
      {"itself", Commit("n", "a2", "a2"), StatusCode::kFailedPrecondition},
      {"remove none", store_->Remove("none").status().code(), StatusCode::kNotFound},
      {"remove a parent", store_->Remove("c1").status().code(), StatusCode::kFailedPrecondition},
      {"get none", store_->Get("none").status().code(), StatusCode::kNotFound},
      {"stat none", store_->Stat("none").status().code(), StatusCode::kNotFound},
      {"update none", store_->Update(Named("none"), {}).status().code(), StatusCode::kNotFound},
      {"update a parent", store_->Update(Named("c1"), {"parent"}).status().code(),
       StatusCode::kInvalidArgument},
  };
  for (const Refusal& r : refusals) EXPECT_EQ(r.code, r.expected) << r.what;
  EXPECT_THAT(Names(), ElementsAre("c1", "c2", "a1", "a2", "v1"));
  EXPECT_THAT(store_->Remove("c1").status().message(), HasSubstr("remove"));
}

TEST_F(StoreTest, CommitKeepsTheNumberAndReplacesTheLabels) {
  ASSERT_EQ(Create(Kind::kActive, "a", "", {{"old", "1"}}), StatusCode::kOk);
  const std::int64_t id = store_->Get("a")->layer.id;
  ASSERT_EQ(Commit("c", "a", "", {{"new", "2"}}), StatusCode::kOk);
  EXPECT_EQ(store_->Get("a").status().code(), StatusCode::kNotFound);
  const Result<Snapshot> found = store_->Get("c");
  EXPECT_EQ(found->layer.id, id);
  EXPECT_EQ(found->info.kind, Kind::kCommitted);
  EXPECT_THAT(found->info.labels, ElementsAre(std::pair("new", "2")));
  EXPECT_EQ(found->usage, std::nullopt);
  ASSERT_TRUE(store_->SetUsage(id, {4096, 3}).ok());
  EXPECT_EQ(store_->Get("c")->usage, (Usage{4096, 3}));
}

TEST_F(StoreTest, CommitGivesAParentToOneThatHasNone) {
  Committed("base");
  ASSERT_EQ(Create(Kind::kActive, "a"), StatusCode::kOk);
  ASSERT_EQ(Commit("c", "a", "base"), StatusCode::kOk);
  EXPECT_EQ(store_->Get("c")->info.parent, "base");
  ASSERT_EQ(Create(Kind::kActive, "b", "base"), StatusCode::kOk);
  ASSERT_EQ(Commit("d", "b", "base"), StatusCode::kOk);  // the same is no change
}

TEST_F(StoreTest, UpdateChangesLabelsAlone) {
  ASSERT_EQ(Create(Kind::kActive, "a", "", {{"l1", "a"}, {"l.2", "b"}}), StatusCode::kOk);
  const auto labels_after = [&](const Labels& labels, const std::vector<std::string>& paths) {
    Info info = {"a", "ignored", Kind::kView, 1, 1, labels};
    return store_->Update(info, paths)->labels;
  };
  EXPECT_EQ(labels_after({{"l1", "x"}, {"l3", "c"}}, {"labels.l1", "labels.l.2"}),
            (Labels{{"l1", "x"}}));
  EXPECT_EQ(labels_after({{"l4", "d"}}, {"labels"}), (Labels{{"l4", "d"}}));
  EXPECT_EQ(labels_after({{"l5", "e"}}, {}), (Labels{{"l5", "e"}}));
  const Info info = store_->Get("a")->info;
  EXPECT_EQ(info.parent, "");
  EXPECT_EQ(info.kind, Kind::kActive);
  EXPECT_GT(info.updated_ns, info.created_ns);
}

TEST_F(StoreTest, AFailureWithinUndoesAll) {
  Committed("c");
  ASSERT_EQ(Create(Kind::kActive, "a"), StatusCode::kOk);
  const Store::Within fails = [](const Snapshot&) { return ResourceExhaustedError("full"); };
  EXPECT_EQ(store_->Create(Kind::kActive, "x", "c", {{"l", "v"}}, fails).status().message(),
            "full");
  EXPECT_EQ(store_->Commit({"y", "a", "", {}}, fails).status().message(), "full");
  EXPECT_EQ(store_->SetImage(store_->Get("a")->layer.id, {}, fails).message(), "full");
  const Store::Within throws = [](const Snapshot&) -> Status { throw std::bad_alloc(); };
  EXPECT_THROW(static_cast<void>(store_->Create(Kind::kActive, "x", "c", {}, throws)),
               std::bad_alloc);
  EXPECT_THAT(Names(), ElementsAre("c", "a"));
  EXPECT_EQ(store_->Get("a")->layer.image, std::nullopt);
  EXPECT_EQ(store_->Get("a")->info.kind, Kind::kActive);
  EXPECT_TRUE(store_->Remove("c").ok());
}

TEST_F(StoreTest, WhatIsUndoneIsSaidOnce) {
  std::vector<std::string> undone;
  const Store::Undone undo = [&](const Snapshot& s) { undone.push_back(s.info.name); };
  const Store::Within fails = [](const Snapshot&) { return ResourceExhaustedError("full"); };
  ASSERT_TRUE(store_->Create(Kind::kActive, "a", "", {}, Nothing, undo).ok());
  EXPECT_FALSE(store_->Create(Kind::kActive, "a", "", {}, Nothing, undo).ok()) << "never begun";
  EXPECT_THAT(undone, testing::IsEmpty());
  EXPECT_FALSE(store_->Create(Kind::kActive, "b", "", {}, fails, undo).ok());
  EXPECT_FALSE(store_->Commit({"c", "a", "", {}}, fails, undo).ok());
  EXPECT_FALSE(store_->SetImage(store_->Get("a")->layer.id, {}, fails, undo).ok());
  EXPECT_THAT(undone, ElementsAre("b", "c", "a"));
}

TEST_F(StoreTest, NumbersAreSkipped) {
  ASSERT_TRUE(store_->SkipNumbers(7).ok());
  ASSERT_EQ(Create(Kind::kActive, "a"), StatusCode::kOk);
  ASSERT_TRUE(store_->SkipNumbers(3).ok());
  ASSERT_EQ(Create(Kind::kActive, "b"), StatusCode::kOk);
  EXPECT_EQ(store_->Get("a")->layer.id, 8);
  EXPECT_EQ(store_->Get("b")->layer.id, 9);
}

TEST_F(StoreTest, NumbersAreNeverGivenTwice) {
  ASSERT_EQ(Create(Kind::kActive, "a"), StatusCode::kOk);
  const std::int64_t id = store_->Get("a")->layer.id;
  ASSERT_TRUE(store_->Remove("a").ok());
  Reopen();
  ASSERT_EQ(Create(Kind::kView, "a"), StatusCode::kOk);
  EXPECT_GT(store_->Get("a")->layer.id, id);
}

TEST_F(StoreTest, ParentsAreTheNearestFirst) {
  Committed("c1");
  Committed("c2", "c1");
  Committed("c3", "c2");
  ASSERT_EQ(Create(Kind::kView, "v", "c3"), StatusCode::kOk);
  std::vector<std::int64_t> ids;
  const Result<Snapshot> view = store_->Get("v");
  for (const Layer& layer : view->parents) ids.push_back(layer.id);
  EXPECT_THAT(ids, ElementsAre(store_->Get("c3")->layer.id, store_->Get("c2")->layer.id,
                               store_->Get("c1")->layer.id));
}

TEST_F(StoreTest, ChainsAreKnownAsFarAsAllLayersAreImages) {
  const auto layer = [&](const std::string& name, const std::string& parent, unsigned char number) {
    ASSERT_EQ(Create(Kind::kActive, "a", parent), StatusCode::kOk);
    if (number != 0) {
      const LayerImage image{Numbered(static_cast<unsigned char>(number + 100)), Numbered(number)};
      ASSERT_TRUE(store_->SetImage(store_->Get("a")->layer.id, image, Nothing).ok());
      EXPECT_EQ(store_->SetImage(store_->Get("a")->layer.id, image, Nothing).code(),
                StatusCode::kFailedPrecondition);
    }
    ASSERT_EQ(Commit(name, "a"), StatusCode::kOk);
  };
  layer("c1", "", 1);
  layer("c2", "c1", 2);
  layer("files", "c2", 0);
  layer("c3", "files", 3);
  EXPECT_EQ(store_->Get("c1")->chain, Numbered(1));
  EXPECT_EQ(store_->Get("c2")->chain, oci::ChainId(Numbered(1), Numbered(2)));
  EXPECT_EQ(store_->Get("files")->chain, std::nullopt);
  EXPECT_EQ(store_->Get("c3")->chain, std::nullopt);
  EXPECT_EQ(store_->Get("c3")->layer.image, (LayerImage{Numbered(103), Numbered(3)}));
  EXPECT_EQ(store_->Get("c3")->parents[1].image, (LayerImage{Numbered(102), Numbered(2)}));
}

TEST_F(StoreTest, CommittedAtOnceAndFoundByItsReference) {
  const Labels labels = {{"containerd.io/snapshot.ref", "sha256:ab"}};
  Committed("p");
  for (const char* parent : {"", "p"}) {
    EXPECT_EQ(*store_->FindReference("sha256:ab", parent), std::nullopt);
    const Result<Snapshot> made =
        store_->CreateCommitted(std::string("n") + parent, parent, labels,
                                {Numbered(1), Numbered(3)}, Numbered(3), Nothing);
    ASSERT_TRUE(made.ok()) << made.status().message();
    EXPECT_EQ(made->info.kind, Kind::kCommitted);
    const bool known = parent == std::string();  // the other is over files nobody knows
    EXPECT_EQ(made->chain, known ? std::optional(Numbered(3)) : std::nullopt);
    EXPECT_EQ((*store_->FindReference("sha256:ab", parent))->info, made->info);
  }
  ASSERT_EQ(Create(Kind::kActive, "a", "", {{"containerd.io/snapshot.ref", "x"}}), StatusCode::kOk);
  EXPECT_EQ(*store_->FindReference("x", ""), std::nullopt);  // not committed
}

TEST_F(StoreTest, AChainThatDoesNotFollowIsRefused) {
  const LayerImage image = {Numbered(1), Numbered(2)};
  ASSERT_TRUE(store_->CreateCommitted("c", "", {}, image, Numbered(2), Nothing).ok());
  for (const auto& [parent, chain] : {std::pair("", Numbered(3)), std::pair("c", Numbered(2))}) {
    EXPECT_EQ(store_->CreateCommitted("x", parent, {}, image, chain, Nothing).status().code(),
              StatusCode::kFailedPrecondition);
  }
  const oci::Digest follows = oci::ChainId(Numbered(2), Numbered(2));
  EXPECT_TRUE(store_->CreateCommitted("x", "c", {}, image, follows, Nothing).ok());
}

// Who lists them gets each in one message.
TEST_F(StoreTest, NamesAndLabelsHaveAnEnd) {
  const std::string name(65536, 'n');
  const Labels most = {{"l", std::string((1U << 20U) - 1, 'v')}};
  const Labels more = {{"l", std::string(1U << 20U, 'v')}};
  EXPECT_EQ(Create(Kind::kActive, name, "", most), StatusCode::kOk);
  EXPECT_EQ(Create(Kind::kActive, name + "n", "", {}), StatusCode::kInvalidArgument);
  EXPECT_EQ(Create(Kind::kActive, "a", "", more), StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Commit({name + "n", name, "", {}}, Nothing).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Commit({"c", name, "", more}, Nothing).status().code(),
            StatusCode::kInvalidArgument);
  Info info = *store_->Stat(name);
  info.labels = {{"m", "x"}};
  EXPECT_EQ(store_->Update(info, {"labels.m"}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(store_->Update(info, {"labels"}).ok());
}

TEST_F(StoreTest, ListsWhatMatches) {
  Committed("c1");
  ASSERT_EQ(Create(Kind::kActive, "a1", "c1", {{"l", "v"}}), StatusCode::kOk);
  EXPECT_THAT(Names(), ElementsAre("c1", "a1"));
  EXPECT_THAT(Names({"parent==c1"}), ElementsAre("a1"));
  EXPECT_THAT(Names({"labels.l==v", "kind==committed"}), ElementsAre("c1", "a1"));
  EXPECT_THAT(Names({"kind==view"}), IsEmpty());
}

TEST_F(StoreTest, ReadersDoNotWaitForAWriter) {
  Committed("c");
  const Store::Within reads = [&](const Snapshot&) {
    std::thread([&] { EXPECT_THAT(Names(), ElementsAre("c")); }).join();
    return Status::Ok();
  };
  EXPECT_TRUE(store_->Create(Kind::kActive, "a", "c", {}, reads).ok());
}

TEST(Store, NobodyElseMayLockIt) {
  os::testing::Scratch scratch;
  const std::string path = scratch.Path("store");
  for (const mode_t before : {0600, 0644}) {
    const Result<std::unique_ptr<Store>> store = Store::Open(path);
    ASSERT_TRUE(store.ok()) << store.status().message();
    for (const char* end : {"", "-wal", "-shm"}) {
      struct stat info {};
      ASSERT_EQ(::stat((path + end).c_str(), &info), 0) << end;
      EXPECT_EQ(info.st_mode & 07777, 0600U) << end << " of a store that was " << before;
    }
    ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  }
}

TEST(Store, RefusesWhatItDoesNotKnow) {
  os::testing::Scratch scratch;
  os::testing::WriteFile(scratch.Path("text"),
                         "this is no database, and longer than its header is");
  const Status damaged = Store::Open(scratch.Path("text")).status();
  EXPECT_EQ(damaged.code(), StatusCode::kDataLoss);
  EXPECT_THAT(damaged.message(), HasSubstr("moved away"));
  EXPECT_TRUE(Store::Open(scratch.Path("newer")).ok());
  ASSERT_TRUE((*Database::Open(scratch.Path("newer")))->Execute("PRAGMA user_version = 9").ok());
  const Status status = Store::Open(scratch.Path("newer")).status();
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("newer version"));
}

}  // namespace
}  // namespace daxfs::snapshotter
