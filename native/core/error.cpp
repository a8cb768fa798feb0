#include "core/error.h"

namespace pushforward {

const char* codeName(Code code) {
  static const char* const names[] = {
#define PUSHFORWARD_CODE(name) #name,
      PUSHFORWARD_ERROR_CODES(PUSHFORWARD_CODE)
#undef PUSHFORWARD_CODE
  };
  return names[static_cast<int>(code)];
}

void fail(Code code, const std::string& where, const std::string& expected, const std::string& received) {
  throw Error(code, "[" + where + "] expected " + expected + " but received " + received);
}

}  // namespace pushforward
