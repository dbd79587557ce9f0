#include "manifest.hpp"

#include <cerrno>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>

#include "external.hpp"
#include "sha256.hpp"

namespace freeway {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string AGAIN = ": export it again";

void refuse_link(const fs::path& path) {
    std::error_code nothing;
    if (fs::is_symlink(path, nothing))
        throw BadBundle(path.string() + " is a link, and a bundle holds its own files: copy the "
                        "folder with what its links name (cp -rL)");
}

/// The bytes of a file; throws `std::system_error`.
std::string content_of(const fs::path& path) {
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    std::string content;
    if (file) content.assign(std::istreambuf_iterator<char>(file), {});
    if (!file || fs::is_directory(path))
        throw std::system_error(errno ? errno : EISDIR, std::generic_category());
    return content;
}

/// Whether it is the name of a file in the same folder, on any system.
bool is_plain(const std::string& name) {
    const bool has_drive = name.size() > 1 && name[1] == ':';
    const auto separators = std::string("/\\") + '\0';
    return name.find_first_of(separators) == std::string::npos && name != "." && name != ".." &&
           !has_drive;
}

/// Refuse a file whose weights lie elsewhere: no hash holds them, and they may be anybody's.
void refuse_parts(const fs::path& path, const std::string& onnx) {
    std::vector<std::string> elsewhere;
    try {
        elsewhere = external_data(onnx);
    } catch (const std::runtime_error& error) {
        throw BadBundle(path.string() + " is no ONNX file (" + error.what() + ")" + AGAIN);
    }
    if (!elsewhere.empty())
        throw BadBundle(path.string() + " keeps weights in " + elsewhere[0] +
                        ", outside of it: a bundle's files hold their own");
}

/// Throws `BadBundle` where the number of the format is none, or a later one.
void require_format(const json& said, const std::string& path) {
    const json number = said.value("format", json(1));
    if (!number.is_number_integer() || number < 1)
        throw BadBundle(path + " is of format " + number.dump() + ", which is none" + AGAIN);
    if (number > FORMAT)
        throw BadBundle(path + " is of format " + number.dump() +
                        ", and this version reads up to " + std::to_string(FORMAT) +
                        ": install a newer freeway-nas");
}

}  // namespace

std::string Manifest::read(const std::string& name) const {
    const fs::path path = folder / name;
    refuse_link(path);
    std::string content;
    try {
        content = content_of(path);
    } catch (const std::system_error& error) {
        throw BadBundle(path.string() + " cannot be read (" + error.what() + ")" + AGAIN);
    }
    const auto known = hashes.find(name);
    if (known == hashes.end() || sha256(content) != known->second)
        throw BadBundle(path.string() + " is not what was exported" + AGAIN);
    if (path.extension() == ".onnx") refuse_parts(path, content);
    return content;
}

json Manifest::json(const std::string& name) const {
    nlohmann::json found;
    try {
        found = nlohmann::json::parse(read(name));
    } catch (const nlohmann::json::exception&) {
        throw BadBundle((folder / name).string() + " is no JSON" + AGAIN);
    }
    if (!found.is_object())
        throw BadBundle((folder / name).string() + " holds something else" + AGAIN);
    return found;
}

Manifest read_manifest(const fs::path& folder) {
    const fs::path path = folder / MANIFEST;
    refuse_link(path);
    json said;
    try {
        said = json::parse(content_of(path));
    } catch (const std::system_error& error) {
        if (error.code() == std::errc::no_such_file_or_directory)
            throw BadBundle(folder.string() + " has no " + MANIFEST +
                            ": give the folder of a winner");
        throw BadBundle(path.string() + " cannot be read (" + error.what() + ")" + AGAIN);
    } catch (const json::exception&) {
        throw BadBundle(path.string() + " cannot be read (it is no JSON)" + AGAIN);
    }
    if (!said.is_object()) throw BadBundle(path.string() + " is no manifest" + AGAIN);
    require_format(said, path.string());
    Manifest manifest;
    manifest.folder = folder;
    for (const auto& [name, value] : said.items()) {
        if (!value.is_string()) continue;
        if (!is_plain(name))
            throw BadBundle(path.string() + " names " + name + ", which is outside of it" + AGAIN);
        manifest.hashes[name] = value.get<std::string>();
    }
    const json picture = said.value("picture", json::object());
    const json runs = said.value("runs", json::object());
    if (!picture.is_object() || !runs.is_object())
        throw BadBundle(path.string() + " is no manifest" + AGAIN);
    manifest.picture = picture.dump();
    const json precision = runs.value("precision", json(""));
    manifest.runs = precision.is_string() ? precision.get<std::string>() : "";
    return manifest;
}

}  // namespace freeway
