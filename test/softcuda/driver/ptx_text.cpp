#include "ptx_text.h"

#include <cstdio>
#include <cstring>

#include "errors.h"
#include "settings.h"

namespace softcuda::driver {

namespace {

// The newest PTX that the driver of a CUDA version takes (PTX ISA manual, release history).
struct {
  int driver, ptx;
} constexpr ptxOfDriver[] = {
    {13000, 90}, {12090, 88}, {12080, 87}, {12070, 86}, {12050, 85}, {12040, 84}, {12030, 83}, {12020, 82},
    {12010, 81}, {12000, 80}, {11080, 78}, {11070, 77}, {11060, 76}, {11050, 75}, {11040, 74}, {11030, 73},
    {11020, 72}, {11010, 71}, {11000, 70}, {10020, 65}, {10010, 64}, {10000, 63},
};

/** "8.7" as 87, -1 when the directive is missing or malformed. */
int versionOf(const std::string& ptx) {
  const size_t at = ptx.find(".version");
  int major, minor;
  if (at == std::string::npos || std::sscanf(ptx.c_str() + at, ".version %d.%d", &major, &minor) != 2) return -1;
  return 10 * major + minor;
}

}  // namespace

std::string ptxText(const void* image) {
  const char* text = static_cast<const char*>(image);
  // PTX begins with white space, a comment or `.version`, and is text up to its zero byte.
  size_t length = 0;
  for (; text[length]; ++length) {
    const unsigned char c = static_cast<unsigned char>(text[length]);
    const bool plain = c >= 32 || c == '\t' || c == '\n' || c == '\r';
    if (!plain) throw Error{CUDA_ERROR_INVALID_IMAGE, "softcuda runs PTX text, not machine code or fat binaries"};
    if (length == 0 && !std::strchr(" \t\r\n/.", text[0])) throw Error{CUDA_ERROR_INVALID_IMAGE, "no PTX text"};
  }
  const std::string ptx(text, length);
  if (ptx.find(".version") == std::string::npos) throw Error{CUDA_ERROR_INVALID_IMAGE, "no .version in the text"};
  return ptx;
}

void requireSupported(const std::string& ptx) {
  const Settings& settings = Settings::get();
  const int version = versionOf(ptx);
  if (version < 0) throw Error{CUDA_ERROR_INVALID_PTX, "no version behind .version"};
  for (const auto& row : ptxOfDriver) {
    if (settings.version < row.driver) continue;
    if (version <= row.ptx) break;
    throw Error{CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
                "Unsupported .version " + std::to_string(version / 10) + "." + std::to_string(version % 10) +
                    "; current version is '" + std::to_string(row.ptx / 10) + "." + std::to_string(row.ptx % 10) + "'"};
  }
  const size_t at = ptx.find(".target");
  int target = 0;
  char suffix = 0;
  if (at == std::string::npos || std::sscanf(ptx.c_str() + at, ".target sm_%d%c", &target, &suffix) < 1)
    throw Error{CUDA_ERROR_INVALID_PTX, "no .target sm_NN"};
  const int capability = 10 * settings.major + settings.minor;
  const bool exact = suffix == 'a';
  if (exact ? target != capability : target > capability)
    throw Error{CUDA_ERROR_INVALID_PTX, ".target sm_" + std::to_string(target) + (exact ? "a" : "") +
                                            " does not run on a device of sm_" + std::to_string(capability)};
}

}  // namespace softcuda::driver
