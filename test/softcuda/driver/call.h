// The frame of every driver call: one at a time, traced, made to fail on demand, refused where its state forbids it.
#pragma once
#include <algorithm>
#include <functional>
#include <sstream>
#include <string>

#include "api.h"
#include "driver.h"

namespace softcuda::driver {

enum Needs : unsigned {
  kInitialised = 1,
  kContext = 2 | kInitialised,  // a current context without a fault
  kUnsafe = 4,                  // refused while a capture is going on, which it invalidates
  kRelease = 8,                 // done even after a fault, so that the leak report stays true
};

class Call {
 public:
  template <class... Arguments>
  Call(const char* name, unsigned needs, const Arguments&... arguments) : name_(name), needs_(needs) {
    if (Settings::get().traceFile.empty()) return;
    std::ostringstream text;
    ((text << ", " << print(arguments)), ...);
    text_ = text.str().substr(std::min<size_t>(2, text.str().size()));
  }
  /** `body` throws Error; without one the result is CUDA_SUCCESS. */
  CUresult run(const std::function<void()>& body);

 private:
  CUresult result(const std::function<void()>& body);
  int injected();
  void refuseInCapture();

  static unsigned print(unsigned char value) { return value; }
  static const void* print(const char* value) { return value; }
  template <class Value>
  static const Value& print(const Value& value) {
    return value;
  }

  const char* name_;
  unsigned needs_;
  std::string text_, reason_;
};

}  // namespace softcuda::driver
