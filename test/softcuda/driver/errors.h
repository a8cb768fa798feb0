// Error codes: names, sentences, which of them end a context.
#pragma once
#include <string>

#include "constants.h"

namespace softcuda::driver {

/** Thrown inside a call, which returns `code`; `reason` goes to the trace. */
struct Error {
  Result code;
  std::string reason;
};

const char* errorName(int code);    // nullptr when there is no such code
const char* errorString(int code);  // nullptr when there is no such code
/** Of a decimal number or a name; -1 when there is none. */
int errorCode(const std::string& text);
/** Errors of a kernel: every further call on the context returns them too. */
bool sticky(int code);

}  // namespace softcuda::driver
