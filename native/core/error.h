#pragma once
#include <exception>
#include <string>
#include <utility>

namespace pushforward {

// The codes of PushforwardError (src/errors.ts); the name is what JavaScript sees.
#define PUSHFORWARD_ERROR_CODES(X) \
  X(SHAPE_MISMATCH)                \
  X(DTYPE_MISMATCH)                \
  X(INVALID_ARGUMENT)              \
  X(NOT_DIFFERENTIABLE)            \
  X(NO_KERNEL)                     \
  X(NO_DEVICE)                     \
  X(OUT_OF_MEMORY)                 \
  X(BUSY)                          \
  X(DISPOSED)                      \
  X(ABORTED)                       \
  X(NUMERIC)                       \
  X(CORRUPT_FILE)                  \
  X(VERSION)

enum class Code {
#define PUSHFORWARD_CODE(name) name,
  PUSHFORWARD_ERROR_CODES(PUSHFORWARD_CODE)
#undef PUSHFORWARD_CODE
};

const char* codeName(Code code);

/** The sentence is `[op or call] expected … but received …`. */
class Error : public std::exception {
 public:
  Error(Code code, std::string sentence) : code_(code), sentence_(std::move(sentence)) {}
  Code code() const { return code_; }
  const char* what() const noexcept override { return sentence_.c_str(); }

 private:
  Code code_;
  std::string sentence_;
};

[[noreturn]] void fail(Code code, const std::string& where, const std::string& expected, const std::string& received);

}  // namespace pushforward
