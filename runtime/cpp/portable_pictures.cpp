// Source: the pages ppm(5) and pgm(5) of Netpbm.

#include "portable_pictures.hpp"

#include <cctype>
#include <fstream>
#include <istream>
#include <system_error>

namespace freeway {
namespace {

constexpr int LONGEST_SIDE = 1 << 20;
constexpr std::int64_t MOST_LEVELS = std::int64_t{1} << 31;

/// The next number of a head, comments passed over; -1 where there is none.
int number(std::istream& file) {
    for (int next = file.peek(); next == '#' || std::isspace(next); next = file.peek())
        if (file.get() == '#')
            for (int c = file.get(); c != '\n' && c != EOF;) c = file.get();
    int value = 0;
    return std::isdigit(file.peek()) && file >> value ? value : -1;
}

}  // namespace

Picture read_picture(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw Refused(path.string() + " cannot be read");
    char kind[2] = {};
    file.read(kind, 2);
    if (kind[0] != 'P' || (kind[1] != '5' && kind[1] != '6'))
        throw Refused(path.string() + " is no binary PPM or PGM: make one, as with ffmpeg -i " +
                      "photo.png photo.ppm");
    Picture picture;
    picture.channels = kind[1] == '6' ? 3 : 1;
    picture.width = number(file), picture.height = number(file);
    const int peak = number(file);
    if (peak != 255)
        throw Refused(path.string() + " has levels up to " + std::to_string(peak) +
                      ": give 8 bits, with a maximum of 255");
    const auto count = std::int64_t{picture.height} * picture.width * picture.channels;
    if (picture.width < 1 || picture.height < 1 || picture.width > LONGEST_SIDE ||
        picture.height > LONGEST_SIDE || count > MOST_LEVELS || !std::isspace(file.get()))
        throw Refused(path.string() + " is damaged: its head tells no size");
    picture.levels.resize(std::size_t(count));
    file.read(reinterpret_cast<char*>(picture.levels.data()), count);
    if (file.gcount() != count)
        throw Refused(path.string() + " is damaged: its end is missing");
    return picture;
}

void write_picture(const std::filesystem::path& path, const Picture& picture) {
    if (picture.channels != 3 && picture.channels != 1)
        throw Refused("a picture of " + std::to_string(picture.channels) +
                      " channels is no PPM and no PGM: write raw frames with --size");
    std::filesystem::path aside = path;
    aside += ".part";
    std::ofstream file(aside, std::ios::binary);
    file << (picture.channels == 3 ? "P6\n" : "P5\n") << picture.width << ' ' << picture.height
         << "\n255\n";
    file.write(reinterpret_cast<const char*>(picture.levels.data()),
               std::streamsize(picture.levels.size()));
    file.close();
    std::error_code error;
    if (file) std::filesystem::rename(aside, path, error);
    if (!file || error) {
        std::filesystem::remove(aside, error);
        throw Refused(path.string() + " cannot be written");
    }
}

}  // namespace freeway
