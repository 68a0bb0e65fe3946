// SPDX-License-Identifier: Apache-2.0
#include "common/oci/registry/hosts.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "common/os/testing/scratch.hpp"

namespace daxfs::oci {
namespace {

using os::testing::Scratch;
using os::testing::WriteFile;

constexpr const char* kPem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

// "url resolves|no-resolve ca-bytes certificate key skip headers", a line each.
std::string Show(const Result<std::vector<Endpoint>>& found) {
  if (!found.ok()) return found.status().message();
  std::string out;
  for (const Endpoint& e : *found) {
    out += e.url + (e.resolves ? "" : " no-resolve") + (e.tls.skip_verify ? " skip" : "") +
           (e.tls.ca_pem.empty() ? "" : " ca" + std::to_string(e.tls.ca_pem.size())) +
           (e.tls.certificate.empty() ? "" : " cert=" + e.tls.certificate + "," + e.tls.key);
    for (const auto& [name, value] : e.headers) out += " " + name + "=" + value;
    out += "\n";
  }
  return out;
}

class HostsTest : public testing::Test {
 protected:
  HostsTest() { options_.directory = scratch_.Path("certs.d"); }

  void Write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = Folder() + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    WriteFile(path, text);
  }
  std::string Folder() const { return options_.directory; }
  std::string Find(const std::string& host) const { return Show(FindEndpoints(host, options_)); }

  const Scratch scratch_;
  HostsOptions options_;
};

TEST_F(HostsTest, WithoutConfigurationTheRegistryAlone) {
  options_.insecure = {"lab.example:5000"};
  EXPECT_EQ(Find("r.example"), "https://r.example/v2\n");
  EXPECT_EQ(Find("docker.io"), "https://registry-1.docker.io/v2\n");
  EXPECT_EQ(Find("localhost:5000"), "https://localhost:5000/v2\nhttp://localhost:5000/v2\n");
  EXPECT_EQ(Find("127.0.0.2"), "https://127.0.0.2/v2\nhttp://127.0.0.2/v2\n");
  EXPECT_EQ(Find("[::1]:5000"), "https://[::1]:5000/v2\nhttp://[::1]:5000/v2\n");
  EXPECT_EQ(Find("127.0.0.1.example"), "https://127.0.0.1.example/v2\n");
  EXPECT_EQ(Find("lab.example:5000"),
            "https://lab.example:5000/v2 skip\nhttp://lab.example:5000/v2 skip\n");
  EXPECT_EQ(Find("lab.example"), "https://lab.example/v2\n");
}

TEST_F(HostsTest, MirrorsComeInTheOrderTheyAreWrittenIn) {
  Write("r.example/hosts.toml", R"(server = "https://upstream.example"
[host."https://z.example"]
  capabilities = ["pull", "resolve"]
[host."https://a.example:5000/some/path"]
  capabilities = ["pull"]
  skip_verify = true
  override_path = true
  [host."https://a.example:5000/some/path".header]
    x-one = "1"
    x-more = ["2", "3"]
[host."push.example"]
  capabilities = ["push"]
)");
  EXPECT_EQ(Find("r.example"),
            "https://z.example/v2\n"
            "https://a.example:5000/some/path no-resolve skip x-more=2, 3 x-one=1\n"
            "https://upstream.example/v2\n");
}

TEST_F(HostsTest, WhoseDirectoryCounts) {
  Write("_default/hosts.toml", "server = \"https://default.example\"");
  Write("r.example:5000/hosts.toml", "server = \"https://colon.example\"");
  EXPECT_EQ(Find("other.example"), "https://default.example/v2\n");
  EXPECT_EQ(Find("r.example:5000"), "https://colon.example/v2\n");
  Write("r.example_5000_/hosts.toml", "server = \"https://port.example/v2/\"");
  EXPECT_EQ(Find("r.example:5000"), "https://port.example/v2\n");
}

TEST_F(HostsTest, CertificatesAreFoundBesideTheFile) {
  Write("r.example/ca.pem", kPem);
  Write("r.example/hosts.toml", R"(ca = ["ca.pem", "ca.pem"]
client = [["client.cert", "/keys/client.key"]]
[host."https://m.example"]
  ca = "ca.pem"
  client = "both.pem"
)");
  const std::string twice = std::to_string(2 * std::string(kPem).size());
  const std::string folder = Folder() + "/r.example/";
  EXPECT_EQ(Find("r.example"), "https://m.example/v2 ca" +
                                   std::to_string(std::string(kPem).size()) + " cert=" + folder +
                                   "both.pem," + folder + "both.pem\nhttps://r.example/v2 ca" +
                                   twice + " cert=" + folder + "client.cert,/keys/client.key\n");
}

TEST_F(HostsTest, DockersLayout) {
  Write("r.example/a.crt", kPem);
  Write("r.example/b.cert", kPem);
  EXPECT_EQ(Find("r.example"),
            Folder() + "/r.example/b.cert: its key " + Folder() + "/r.example/b.key is missing");
  Write("r.example/b.key", kPem);
  EXPECT_EQ(Find("r.example"), "https://r.example/v2 ca" +
                                   std::to_string(std::string(kPem).size()) + " cert=" + Folder() +
                                   "/r.example/b.cert," + Folder() + "/r.example/b.key\n");
}

TEST_F(HostsTest, WithoutTlsOnlyWhereThatIsMeant) {
  Write("r.example/hosts.toml", "[host.\"http://m.example\"]\n");
  EXPECT_EQ(Find("r.example"),
            "m.example would be asked without TLS: name it with --insecure-registry if that is "
            "meant");
  options_.insecure = {"m.example"};
  EXPECT_EQ(Find("r.example"), "http://m.example/v2 skip\nhttps://r.example/v2\n");
}

TEST_F(HostsTest, WhatIsWrongIsNamedWithItsLine) {
  const std::pair<const char*, const char*> rows[] = {
      {"server = 3", ":1: \"server\" is no string"},
      {"server = \"ftp://x\"", ":1: \"ftp://x\" is no http or https URL"},
      {"\nhost = 3", ":2: \"host\" is no table"},
      {"[host.x]\ncapabilities = 3", ":2: neither a string nor an array of strings"},
      {"[host.x]\nca = [3]", ":2: not a string"},
      {"[host.x]\nca = \"missing.pem\"", "missing.pem"},
      {"[host.x]\nclient = [[\"a\", \"b\", \"c\"]]", ":2: not a certificate and its key"},
      {"capabilities = [\"push\"]", ":1: no host is left that may be pulled from"},
      {"[host.x", ":1: "},
  };
  for (const auto& [text, said] : rows) {
    SCOPED_TRACE(text);
    Write("r.example/hosts.toml", text);
    const std::string shown = Find("r.example");
    EXPECT_NE(shown.find(said), std::string::npos) << shown;
    EXPECT_NE(shown.find(Folder()), std::string::npos) << shown;
  }
}

TEST_F(HostsTest, CaFilesAreForEveryHost) {
  Write("ca.pem", kPem);
  Write("text", "no certificate");
  options_.ca_files = {Folder() + "/ca.pem"};
  const std::string size = std::to_string(std::string(kPem).size());
  EXPECT_EQ(Find("r.example"), "https://r.example/v2 ca" + size + "\n");
  options_.ca_files = {Folder() + "/text"};
  EXPECT_EQ(Find("r.example"), Folder() + "/text: holds no certificate in PEM");
}

TEST_F(HostsTest, TheCredentialsOfAServerAreItsOwn) {
  options_.insecure = {"r.example", "lab.example"};
  const auto of = [&](const std::string& host, const std::string& server) {
    Write(host + "/hosts.toml", "server = \"" + server + "\"\n");
    const Result<std::vector<Endpoint>> found = FindEndpoints(host, options_);
    EXPECT_TRUE(found.ok() && found->size() == 1);
    const Endpoint& e = found->at(0);
    return e.host + " ns=" + e.name_space + (e.tls.skip_verify ? " skip" : "");
  };
  EXPECT_EQ(of("r.example", "https://other.example"), "other.example ns=r.example");
  EXPECT_EQ(of("r.example", "https://lab.example"), "lab.example ns=r.example skip");
  EXPECT_EQ(of("r.example", "https://r.example"), "r.example ns= skip");
  EXPECT_EQ(of("docker.io", "https://registry-1.docker.io"), "docker.io ns=");
  EXPECT_EQ(of("docker.io", "https://mirror.example"), "mirror.example ns=docker.io");
}

TEST_F(HostsTest, AClientsFileMayHoldItsKey) {
  Write("r.example/client.pem", kPem);
  Write("r.example/hosts.toml", "client = [[\"client.pem\", \"\"]]\n");
  const std::string path = Folder() + "/r.example/client.pem";
  EXPECT_EQ(Find("r.example"), "https://r.example/v2 cert=" + path + "," + path + "\n");
}

}  // namespace
}  // namespace daxfs::oci
