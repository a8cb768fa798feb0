// What softcuda tells a person or a test.
#pragma once
#include <string>

namespace softcuda::driver {

/** `softcuda: text` on stderr. */
void say(const std::string& text);
/** One line at the end of a file; `-` is stdout, an empty name nothing. */
void append(const std::string& file, const std::string& line);

}  // namespace softcuda::driver
