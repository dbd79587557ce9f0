#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "golden.hpp"
#include "program.hpp"

namespace freeway {
namespace {

const char* const CARD = "README.md";
const std::string AGAIN = ": export it again";

enum class Mark { OK, FAILED, NOT_LOOKED_AT };

/// What was found, line by line.
struct Checks {
    bool is_passed = true;

    void tell(Mark mark, const std::string& what, const std::string& told) {
        const char* word = mark == Mark::OK ? "ok" : mark == Mark::FAILED ? "FAILED" : "-";
        char head[16];
        std::snprintf(head, sizeof head, "%-6s ", word);
        std::cout << line_of(head + what + ": " + told) << std::endl;
        is_passed &= mark != Mark::FAILED;
    }
};

bool ends_with(const std::string& name, const std::string& end) {
    return name.size() > end.size() && name.substr(name.size() - end.size()) == end;
}

/// Every file that is as it was, and a line for each that is not.
std::map<std::string, std::string> read_files(const Manifest& manifest, Checks& checks) {
    std::map<std::string, std::string> files;
    bool has_onnx = false;
    for (const auto& [name, hash] : manifest.hashes) {
        has_onnx |= ends_with(name, ".onnx");
        try {
            files[name] = manifest.read(name);
        } catch (const BadBundle& error) {
            checks.tell(Mark::FAILED, "file", error.what());
        }
    }
    const std::string named = (manifest.folder / MANIFEST).string();
    for (const char* name : {ARCHITECTURE, RECEIPTS})
        if (!manifest.has(name))
            checks.tell(Mark::FAILED, "file", named + " names no " + name + AGAIN);
    if (!has_onnx) checks.tell(Mark::FAILED, "file", named + " names no ONNX file" + AGAIN);
    if (checks.is_passed)
        checks.tell(Mark::OK, std::to_string(files.size()) + " files", "as they were exported");
    return files;
}

/// What lies in the folder and nobody vouches for, and what an older bundle lacks.
void tell_unknown(const Manifest& manifest, Checks& checks) {
    std::vector<std::string> there;
    for (const auto& entry : std::filesystem::directory_iterator(manifest.folder))
        there.push_back(entry.path().filename().string());
    std::sort(there.begin(), there.end());
    for (const std::string& name : there)
        if (name != MANIFEST && !manifest.has(name))
            checks.tell(Mark::NOT_LOOKED_AT, name,
                        std::string("not named in ") + MANIFEST + ": it came later");
    std::string lacks;
    for (const char* name : {GOLDEN, ARRAYS, CARD})
        if (!manifest.has(name)) lacks += (lacks.empty() ? "" : ", ") + std::string(name);
    if (!lacks.empty())
        checks.tell(Mark::NOT_LOOKED_AT, "older bundle",
                    "it has no " + lacks + ": export it again to have them");
}

std::string figure(double value, const char* form) {
    char told[32];
    std::snprintf(told, sizeof told, form, value);
    return told;
}

std::string why_not_exact(const Made& known, const Engine& engine) {
    if (known.engine != engine.name)
        return "; it is of " + known.engine + " " + known.engine_version;
    if (known.engine_version != engine.version()) return "; it is of " + known.engine_version;
    return "; it is of the same version on " + known.device;
}

/// One file's golden outputs on one engine.
void tell_match(const Golden& golden, const std::string& name, const std::string& onnx,
                const Signature& signature, const Engine& engine, Checks& checks) {
    const Made& known = golden.made.at(name);
    const std::string what = name + " on " + engine.name + " " + engine.version();
    Match found;
    try {
        found = match(golden.sample, known, onnx, signature, engine);
    } catch (const std::exception& error) {
        // Of a file for another engine it says nothing.
        const Mark mark = known.engine == engine.name ? Mark::FAILED : Mark::NOT_LOOKED_AT;
        return checks.tell(mark, what, std::string("does not run it: ") + error.what());
    }
    if (found.exact) return checks.tell(Mark::OK, what, "the golden output bit for bit");
    const bool is_near = found.largest <= known.largest && found.mean <= known.mean;
    checks.tell(is_near ? Mark::OK : Mark::FAILED, what,
                figure(found.largest, "%.2g") + " from the golden output (at most " +
                    figure(known.largest, "%g") + "), " + figure(found.mean, "%.2g") +
                    " in the mean (at most " + figure(known.mean, "%g") + ")" +
                    why_not_exact(known, engine));
}

/// The golden outputs on every engine that was built in.
void tell_golden(const Manifest& manifest, const std::map<std::string, std::string>& files,
                 Checks& checks) {
    const Signature signature = signature_of(manifest);
    if (!files.count(ARRAYS) || !files.count(GOLDEN)) return;
    Golden golden;
    try {
        golden = read_golden(manifest);
    } catch (const Compressed& error) {
        return checks.tell(Mark::NOT_LOOKED_AT, ARRAYS,
                           std::string(error.what()) + ": `nas verify` reads it");
    } catch (const BadBundle& error) {
        return checks.tell(Mark::FAILED, ARRAYS, error.what());
    }
    const auto names = engines();
    for (const auto& [name, known] : golden.made) {
        const auto file = files.find(name + ".onnx");
        if (file == files.end()) continue;
        if (std::find(names.begin(), names.end(), known.engine) == names.end())
            checks.tell(Mark::NOT_LOOKED_AT, name + " on " + known.engine,
                        "not run: this engine is not built in");
        for (const Engine& engine : built_in())
            tell_match(golden, name, file->second, signature, engine, checks);
    }
}

}  // namespace

int verify(const std::filesystem::path& bundle) {
    Checks checks;
    try {
        const Manifest manifest = read_manifest(bundle);
        const auto files = read_files(manifest, checks);
        tell_unknown(manifest, checks);
        if (files.count(ARCHITECTURE)) tell_golden(manifest, files, checks);
    } catch (const BadBundle& error) {
        checks.tell(Mark::FAILED, "bundle", error.what());
    }
    return checks.is_passed ? 0 : 1;
}

}  // namespace freeway
