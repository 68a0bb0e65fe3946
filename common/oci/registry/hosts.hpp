// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/status.hpp"
#include "common/oci/registry/http.hpp"

namespace daxfs::oci {

// Where a registry's API is.
struct Endpoint {
  std::string url;         // "https://host[:port]/v2", without a slash at the end
  std::string host;        // whose credentials count: the registry's or the mirror's
  std::string name_space;  // the registry that is meant, if this is a mirror of it; else empty
  bool resolves = true;    // may be asked what a tag means
  std::map<std::string, std::string> headers;  // sent with every request
  TlsOptions tls;
  std::vector<std::string> insecure;  // hosts that need no TLS, wherever it leads
};

struct HostsOptions {
  std::string directory = "/etc/containerd/certs.d";
  std::vector<std::string> insecure;  // hosts that need no certificate, or not even TLS
  std::vector<std::string> ca_files;  // PEM, for every host
};

// Endpoints of a host, in the order they are asked: mirrors, then the registry itself, as
// DIRECTORY/HOST[_PORT_]/hosts.toml, DIRECTORY/HOST[:PORT]/hosts.toml or
// DIRECTORY/_default/hosts.toml says (containerd, docs/hosts.md), or *.crt, *.cert and *.key there
// (docker's layout). Without any the registry alone. Plain HTTP only for loopback addresses and
// `insecure` hosts, behind TLS. Errors: kInvalidArgument for a damaged file, naming it and the
// line; kFailedPrecondition for plain HTTP elsewhere; by errno.
Result<std::vector<Endpoint>> FindEndpoints(const std::string& host, const HostsOptions& options);

// Whether a host may be asked without TLS: a loopback address, or one of `insecure`.
bool MayBePlain(const std::string& host, const std::vector<std::string>& insecure);

// "localhost" or an address that never leaves this host, with or without a port.
bool IsLoopback(const std::string& host);

}  // namespace daxfs::oci
