#include "sentences.h"

#include <cstdio>

namespace softcuda::driver {

void say(const std::string& text) {
  std::fprintf(stderr, "softcuda: %s\n", text.c_str());
  std::fflush(stderr);
}

void append(const std::string& file, const std::string& line) {
  if (file.empty()) return;
  if (file == "-") {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
    return;
  }
  std::FILE* out = std::fopen(file.c_str(), "a");
  if (!out) return say("cannot write '" + file + "'");
  std::fprintf(out, "%s\n", line.c_str());
  std::fclose(out);
}

}  // namespace softcuda::driver
