/// What a bundle says of itself, held against what lies in its folder.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "freeway.hpp"

namespace freeway {

inline constexpr const char* MANIFEST = "manifest.json";
inline constexpr const char* RECEIPTS = "latency.json";
inline constexpr const char* ARCHITECTURE = "architecture.json";
/// Of bundles, the latest that is read.
inline constexpr int FORMAT = 2;

/// A bundle's own list of its files.
struct Manifest {
    std::filesystem::path folder;
    /// The sha256 of every other file, by the file's name.
    std::map<std::string, std::string> hashes;
    /// What a picture is to the network, as JSON; `{}` where nothing is said.
    std::string picture;
    /// The precision of the file to run; empty where nothing is said.
    std::string runs;

    bool has(const std::string& name) const { return hashes.count(name) > 0; }

    /// A file of the bundle, as it was exported. Throws `BadBundle` where it is missing, another
    /// one, a link, or needs files beside it.
    std::string read(const std::string& name) const;

    /// The same, of a file that holds a JSON object.
    nlohmann::json json(const std::string& name) const;
};

/// What lies in a bundle's folder by its own account; no other file is read. Throws `BadBundle`
/// where it is no bundle, is of a later format, or names files elsewhere.
Manifest read_manifest(const std::filesystem::path& folder);

}  // namespace freeway
