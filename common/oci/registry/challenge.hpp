// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace daxfs::oci {

// How a server wants to be asked (RFC 9110, 11.3).
struct Challenge {
  std::string scheme;                             // lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case

  // The parameter, empty if there is none.
  std::string Get(const std::string& name) const;
};

// All challenges of a WWW-Authenticate field. What cannot be read ends the list.
std::vector<Challenge> ParseChallenges(std::string_view field);

}  // namespace daxfs::oci
