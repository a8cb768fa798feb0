// The binding: the only file that includes napi.h. Converts arguments, guards every call, and runs plans on a native thread.
// It is long because it is that only file: one small function per method of src/native.ts, and no logic of its own.
#include <napi.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <unordered_set>

#include "core/error.h"
#include "core/lanes.h"
#include "core/session.h"
#include "core/split.h"
#include "core/tangents.h"

namespace pushforward {

namespace {

Napi::Error toNapi(Napi::Env env, const Error& error) {
  Napi::Error wrapped = Napi::Error::New(env, error.what());
  wrapped.Value().Set("code", codeName(error.code()));
  return wrapped;
}

/** Runs f; our errors and the standard library's become JavaScript errors with a code. */
template <class F>
auto guarded(Napi::Env env, const F& f) -> decltype(f()) {
  try {
    return f();
  } catch (const Error& error) {
    throw toNapi(env, error);
  } catch (const std::bad_alloc&) {
    throw toNapi(env, Error(Code::OUT_OF_MEMORY, "[memory] expected an allocation to succeed but received a refusal"));
  } catch (const std::length_error&) {
    throw toNapi(env, Error(Code::OUT_OF_MEMORY, "[memory] expected a size that fits but received a larger one"));
  }
}

std::string textArgument(const Napi::Value& value, const char* what) {
  if (!value.IsString())
    fail(Code::INVALID_ARGUMENT, "native", std::string(what) + " to be a string", "something else");
  return value.As<Napi::String>().Utf8Value();
}

double numberArgument(const Napi::Value& value, const char* what, double low, double high) {
  double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!(number >= low && number <= high) || number != std::floor(number))
    fail(Code::INVALID_ARGUMENT, "native",
         std::string(what) + " to be an integer from " + std::to_string(static_cast<long long>(low)) + " to " +
             std::to_string(static_cast<long long>(high)),
         value.IsNumber() ? std::to_string(number) : "something else");
  return number;
}

bool flagArgument(const Napi::Value& value, bool fallback) {
  return value.IsBoolean() ? value.As<Napi::Boolean>().Value() : fallback;
}

std::shared_ptr<const Program> programArgument(const Napi::Value& value, const char* where) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    fail(Code::INVALID_ARGUMENT, where, "a program as a Uint8Array", "something else");
  Napi::Uint8Array bytes = value.As<Napi::Uint8Array>();
  return decodeProgram(bytes.Data(), bytes.ElementLength());
}

constexpr double maxUint32 = 4294967295.0;

/** Reads a Float32Array, Float64Array or Int32Array as `type` is stored: `bytes` per real. */
void copyIn(const Napi::Value& value, const Type& type, size_t realBytes, void* to, const std::string& where) {
  if (!value.IsTypedArray()) fail(Code::INVALID_ARGUMENT, where, "a typed array", "something else");
  Napi::TypedArray array = value.As<Napi::TypedArray>();
  size_t count = array.ElementLength();
  if (count != static_cast<size_t>(type.shape.count()))
    fail(Code::SHAPE_MISMATCH, where, std::to_string(type.shape.count()) + " elements for " + type.text(),
         std::to_string(count));
  const uint8_t* from = count ? static_cast<const uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset() : nullptr;
  napi_typedarray_type kind = array.TypedArrayType();
  bool integer = type.dtype == DType::int32;
  if (integer != (kind == napi_int32_array) || (!integer && kind != napi_float32_array && kind != napi_float64_array))
    fail(Code::DTYPE_MISMATCH, where, integer ? "an Int32Array" : "a Float32Array or Float64Array", "another array");
  auto convert = [&](const auto* source, auto* target) {
    for (size_t i = 0; i < count; ++i) target[i] = static_cast<std::remove_reference_t<decltype(*target)>>(source[i]);
  };
  if (integer || (realBytes == 4 && kind == napi_float32_array) || (realBytes == 8 && kind == napi_float64_array)) {
    if (count) std::memcpy(to, from, count * (integer ? 4 : realBytes));
  } else if (realBytes == 8) {
    convert(reinterpret_cast<const float*>(from), static_cast<double*>(to));
  } else {
    convert(reinterpret_cast<const double*>(from), static_cast<float*>(to));
  }
}

Napi::Value copyOut(Napi::Env env, const void* from, size_t bytes, DType dtype, size_t realBytes) {
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, bytes);
  if (bytes) std::memcpy(buffer.Data(), from, bytes);
  if (dtype == DType::int32) return Napi::Int32Array::New(env, bytes / 4, buffer, 0);
  if (realBytes == 8) return Napi::Float64Array::New(env, bytes / 8, buffer, 0);
  return Napi::Float32Array::New(env, bytes / 4, buffer, 0);
}

class NativeResident : public Napi::ObjectWrap<NativeResident> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Resident", {InstanceAccessor<&NativeResident::count>("count")});
  }
  explicit NativeResident(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeResident>(info) {}
  std::shared_ptr<Resident> resident;

 private:
  Napi::Value count(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), resident ? double(resident->count) : 0);
  }
};

/** What a run needs to outlive: kept by the job, whatever JavaScript disposes meanwhile. */
struct Compiled {
  std::shared_ptr<Session> session;
  std::shared_ptr<Plan> plan;
  std::atomic<bool> cancelled{false};
};

/** A run on its way: executed on a lane, settled on the thread of its environment. */
class Job {
 public:
  Job(Napi::Env env, std::shared_ptr<Compiled> plan, RunRequest request)
      : compiled(std::move(plan)), request_(std::move(request)), deferred_(Napi::Promise::Deferred::New(env)) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

  void execute() {
    try {
      result_ = compiled->session->run(*compiled->plan, request_, compiled->cancelled);
    } catch (const Error& error) {
      failure_ = std::make_unique<Error>(error);
    } catch (const std::exception& error) {
      failure_ = std::make_unique<Error>(Code::OUT_OF_MEMORY,
                                         std::string("[run] expected memory to suffice but received ") + error.what());
    }
  }

  void settle(Napi::Env env) {
    Napi::HandleScope scope(env);
    try {
      if (!failure_) return deferred_.Resolve(resultObject(env));
    } catch (const Napi::Error& error) {
      // Arrays that JavaScript has no room for.
      failure_ = std::make_unique<Error>(Code::OUT_OF_MEMORY,
                                         "[run] expected room for the results but received " + error.Message());
    }
    deferred_.Reject(toNapi(env, *failure_).Value());
  }

  const std::shared_ptr<Compiled> compiled;

 private:
  Napi::Object resultObject(Napi::Env env) {
    const size_t realBytes = compiled->session->device().realBytes;
    Napi::Object out = Napi::Object::New(env);
    out.Set("steps", Napi::Number::New(env, double(result_.steps)));
    out.Set("numericStep", Napi::Number::New(env, double(result_.numericStep)));
    out.Set("milliseconds", Napi::Number::New(env, result_.milliseconds));
    Napi::Array outputs = Napi::Array::New(env, result_.outputs.size());
    for (size_t i = 0; i < result_.outputs.size(); ++i)
      outputs.Set(static_cast<uint32_t>(i), copyOut(env, result_.outputs[i].data(), result_.outputs[i].size(),
                                                    compiled->plan->outputs()[i].type.dtype, realBytes));
    out.Set("outputs", outputs);
    Napi::Array recorded = Napi::Array::New(env, result_.recorded.size());
    for (size_t i = 0; i < result_.recorded.size(); ++i)
      recorded.Set(static_cast<uint32_t>(i),
                   copyOut(env, result_.recorded[i].data(), result_.recorded[i].size(), DType::real, realBytes));
    out.Set("recorded", recorded);
    return out;
  }

  RunRequest request_;
  RunResult result_;
  std::unique_ptr<Error> failure_;
  Napi::Promise::Deferred deferred_;
};

/** The runs of one environment. When it ends they are cancelled, so that none outlives it by more than a step. */
class Runs {
 public:
  explicit Runs(Napi::Env env) : lanes_(16), done_(Done::New(env, "pushforward:run", 0, 1, this)) {
    done_.Unref(env);
    env.AddCleanupHook([](Runs* runs) { runs->end(); }, this);  // before that of done_, which is older
  }

  Napi::Promise start(Napi::Env env, std::unique_ptr<Job> job) {
    if (inFlight_.empty()) done_.Ref(env);
    Job* raw = job.release();
    inFlight_.insert(raw);
    Napi::Promise promise = raw->promise();
    lanes_->post([this, raw] {
      raw->execute();
      if (done_.BlockingCall(raw) != napi_ok) delete raw;  // the environment has ended
    });
    return promise;
  }

 private:
  static void settle(Napi::Env env, Napi::Function, Runs* runs, Job* job) {
    std::unique_ptr<Job> owner(job);
    if (env == nullptr) return;  // the environment ended meanwhile
    runs->inFlight_.erase(job);
    if (runs->inFlight_.empty()) runs->done_.Unref(env);
    job->settle(env);
  }
  using Done = Napi::TypedThreadSafeFunction<Runs, Job, settle>;

  void end() {
    for (Job* job : inFlight_) job->compiled->cancelled = true;
    lanes_.reset();
  }

  std::unordered_set<Job*> inFlight_;
  std::optional<Lanes> lanes_;
  Done done_;
};

/** What one environment has: the main thread and each worker have their own. */
struct Instance {
  explicit Instance(Napi::Env env) : runs(env) {}
  Napi::FunctionReference session, plan, resident;
  std::map<std::string, Device> opened;  // GPUs, whose contexts live as long
  Runs runs;
};

class NativePlan : public Napi::ObjectWrap<NativePlan> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Plan",
        {InstanceMethod<&NativePlan::run>("run"), InstanceMethod<&NativePlan::stage>("stage"),
         InstanceMethod<&NativePlan::cancel>("cancel"), InstanceMethod<&NativePlan::describe>("describe"),
         InstanceMethod<&NativePlan::dispose>("dispose"),
         InstanceAccessor<&NativePlan::workspaceBytes>("workspaceBytes"),
         InstanceAccessor<&NativePlan::tapeBytes>("tapeBytes")});
  }
  explicit NativePlan(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativePlan>(info) {}
  std::shared_ptr<Compiled> compiled;

 private:
  std::vector<Memory> staged_;  // inputs of the next run, copied in advance
  std::shared_ptr<Staged> onTheWay_;

  Compiled& checked() const {
    if (!compiled) fail(Code::DISPOSED, "plan", "a compiled plan", "an empty one");
    return *compiled;
  }

  /** Copies of an array of inputs, but the first `fed`, which a resident set fills. */
  std::vector<Memory> copiesOf(const Napi::Value& given, size_t fed) {
    Compiled& self = checked();
    const std::vector<Type>& types = self.plan->inputs();
    Napi::Array inputs = given.IsArray() ? given.As<Napi::Array>() : Napi::Array::New(given.Env());
    if (inputs.Length() != types.size())
      fail(Code::INVALID_ARGUMENT, "run", std::to_string(types.size()) + " inputs", std::to_string(inputs.Length()));
    std::vector<Memory> copies;
    for (uint32_t i = 0; i < types.size(); ++i) {
      copies.emplace_back(self.session->store().bytesOf(types[i]), false);
      if (i < fed) continue;
      copyIn(inputs.Get(i), types[i], self.session->device().realBytes, copies.back().data(),
             "run input " + std::to_string(i));
    }
    return copies;
  }

  void readInputs(const Napi::Object& object, RunRequest& request) {
    Napi::Value given = object.Get("inputs");
    if (given.IsString()) {
      if (staged_.empty()) fail(Code::INVALID_ARGUMENT, "run", "inputs, or staged ones", "none");
      request.inputs = std::move(staged_);
      staged_.clear();
      request.staged = std::move(onTheWay_);
      return;
    }
    request.inputs = copiesOf(given, request.resident ? request.resident->columns.size() : 0);
  }

  void stage(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      staged_.clear();
      onTheWay_.reset();
      staged_ = copiesOf(info[0], 0);
      onTheWay_ = compiled->session->stage(*compiled->plan, staged_);
    });
  }

  void readResident(const Napi::Object& object, RunRequest& request) {
    Napi::Value given = object.Get("resident");
    if (!given.IsObject()) return;
    request.resident = NativeResident::Unwrap(given.As<Napi::Object>())->resident;
    if (!request.resident) fail(Code::INVALID_ARGUMENT, "run", "a resident data set", "an empty one");
    Napi::Value indices = object.Get("indices");
    if (!indices.IsTypedArray() || indices.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array)
      fail(Code::INVALID_ARGUMENT, "run", "indices as an Int32Array", "something else");
    Napi::Int32Array array = indices.As<Napi::Int32Array>();
    request.indices.assign(array.Data(), array.Data() + array.ElementLength());
    const std::vector<Type>& types = compiled->plan->inputs();
    const Resident& resident = *request.resident;
    if (types.size() < resident.columns.size())
      fail(Code::INVALID_ARGUMENT, "run", "a plan with an input per column", std::to_string(types.size()) + " inputs");
    int64_t batch = request.steps ? static_cast<int64_t>(request.indices.size()) / request.steps : 0;
    if (batch * request.steps != static_cast<int64_t>(request.indices.size()))
      fail(Code::SHAPE_MISMATCH, "run", "steps × batch indices", std::to_string(request.indices.size()));
    for (size_t c = 0; c < resident.columns.size(); ++c) {
      bool integer = resident.columns[c].kind == Resident::Column::Kind::int32;
      if (types[c].shape.count() != batch * resident.columns[c].size)
        fail(Code::SHAPE_MISMATCH, "run", types[c].text(),
             std::to_string(batch) + " examples of " + std::to_string(resident.columns[c].size));
      if (integer != (types[c].dtype == DType::int32))
        fail(Code::DTYPE_MISMATCH, "run", types[c].text(), integer ? "an int32 column" : "a real column");
    }
    for (int32_t index : request.indices)
      if (index < 0 || index >= resident.count)
        fail(Code::INVALID_ARGUMENT, "run", "indices below " + std::to_string(resident.count), std::to_string(index));
  }

  Napi::Value run(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
      Compiled& self = checked();
      if (!info[0].IsObject()) fail(Code::INVALID_ARGUMENT, "run", "a request", "something else");
      Napi::Object object = info[0].As<Napi::Object>();
      RunRequest request;
      request.steps = static_cast<int64_t>(numberArgument(object.Get("steps"), "steps", 1, 1e9));
      request.key[0] = static_cast<uint32_t>(numberArgument(object.Get("keyLow"), "keyLow", 0, maxUint32));
      request.key[1] = static_cast<uint32_t>(numberArgument(object.Get("keyHigh"), "keyHigh", 0, maxUint32));
      request.firstStep = static_cast<uint32_t>(numberArgument(object.Get("firstStep"), "firstStep", 0, maxUint32));
      Napi::Value rates = object.Get("rates");
      if (rates.IsTypedArray()) {
        if (rates.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array ||
            rates.As<Napi::TypedArray>().ElementLength() != static_cast<size_t>(request.steps))
          fail(Code::INVALID_ARGUMENT, "run", std::to_string(request.steps) + " rates in a Float64Array",
               "another array");
        Napi::Float64Array array = rates.As<Napi::Float64Array>();
        request.rates.assign(array.Data(), array.Data() + array.ElementLength());
      }
      readResident(object, request);
      readInputs(object, request);
      Napi::Value every = object.Get("recordEvery"), names = object.Get("recordNames");
      if (!every.IsUndefined() && names.IsArray()) {
        request.recordEvery = static_cast<int64_t>(numberArgument(every, "recordEvery", 1, 1e9));
        Napi::Array list = names.As<Napi::Array>();
        for (uint32_t i = 0; i < list.Length(); ++i) {
          request.recordSlots.push_back(textArgument(list.Get(i), "recordNames"));
          self.session->store().find(request.recordSlots.back());
        }
      }
      self.cancelled = false;
      return env.GetInstanceData<Instance>()->runs.start(env, std::make_unique<Job>(env, compiled, std::move(request)));
    });
  }

  void cancel(const Napi::CallbackInfo&) {
    if (compiled) compiled->cancelled = true;
  }
  void dispose(const Napi::CallbackInfo&) {
    compiled.reset();
    staged_.clear();
    onTheWay_.reset();
  }
  Napi::Value describe(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      return Napi::String::New(info.Env(), checked().plan->describe(measuredPeaks(checked().session->device())));
    });
  }
  Napi::Value workspaceBytes(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      return Napi::Number::New(info.Env(), double(checked().plan->workspaceBytes()));
    });
  }
  Napi::Value tapeBytes(const Napi::CallbackInfo& info) {
    return guarded(info.Env(),
                   [&]() -> Napi::Value { return Napi::Number::New(info.Env(), double(checked().plan->tapeBytes())); });
  }
};

class NativeSession : public Napi::ObjectWrap<NativeSession> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Session",
        {InstanceAccessor<&NativeSession::deviceName>("device"), InstanceAccessor<&NativeSession::isa>("isa"),
         InstanceAccessor<&NativeSession::threads>("threads"), InstanceMethod<&NativeSession::compile>("compile"),
         InstanceMethod<&NativeSession::compileSplit>("compileSplit"), InstanceMethod<&NativeSession::read>("read"),
         InstanceMethod<&NativeSession::write>("write"), InstanceMethod<&NativeSession::resident>("resident"),
         InstanceMethod<&NativeSession::memory>("memory"), InstanceMethod<&NativeSession::dispose>("dispose")});
  }

  explicit NativeSession(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeSession>(info) {
    guarded(info.Env(), [&] {
      int threads = static_cast<int>(numberArgument(info[2], "threads", 0, 4096));
      session_ =
          std::make_shared<Session>(openDevice(textArgument(info[0], "device"), textArgument(info[1], "isa"), threads,
                                               info[3].IsUndefined() ? "" : textArgument(info[3], "precision")));
    });
  }

  void Finalize(Napi::Env env) override {
    session_.reset();
    tellCollector(env);
  }

 private:
  /** Tells V8 what is held here, so that forgotten trainers are collected before the machine is full of them. */
  void tellCollector(Napi::Env env) {
    int64_t bytes = 0;
    if (session_) {
      MemoryReport report = session_->memory();
      bytes = static_cast<int64_t>(report.data + report.parameters + report.state + report.tape + report.workspace);
    }
    Napi::MemoryManagement::AdjustExternalMemory(env, bytes - told_);
    told_ = bytes;
  }

  Session& checked() const {
    if (!session_) fail(Code::DISPOSED, "session", "a live session", "a disposed one");
    return *session_;
  }

  Napi::Value deviceName(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value { return Napi::String::New(info.Env(), checked().device().name); });
  }
  Napi::Value isa(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value { return Napi::String::New(info.Env(), checked().device().set); });
  }
  Napi::Value threads(const Napi::CallbackInfo& info) {
    return guarded(info.Env(),
                   [&]() -> Napi::Value { return Napi::Number::New(info.Env(), checked().device().threads); });
  }

  Napi::Object planObject(Napi::Env env, const Program& program, bool fuse) {
    auto compiled = std::make_shared<Compiled>();
    compiled->session = session_;
    compiled->plan = session_->compile(program, fuse);
    tellCollector(env);
    Napi::Object object = env.GetInstanceData<Instance>()->plan.New({});
    NativePlan::Unwrap(object)->compiled = compiled;
    return object;
  }

  Napi::Value compile(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      checked();
      auto program = programArgument(info[0], "compile");
      return planObject(info.Env(), *program, flagArgument(info[1], true));
    });
  }

  Napi::Value compileSplit(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      checked();
      auto program = programArgument(info[0], "compileSplit");
      bool fuse = flagArgument(info[1], true);
      int primals = static_cast<int>(numberArgument(info[2], "primals", 0, 1e6));
      int values = static_cast<int>(numberArgument(info[3], "values", 0, 1e6));
      SplitProgram split = splitAtTape(*program, primals, values, fuse);
      Napi::Array plans = Napi::Array::New(info.Env(), 2);
      plans.Set(0u, planObject(info.Env(), split.forward, fuse));
      plans.Set(1u, planObject(info.Env(), split.backward, fuse));
      return plans;
    });
  }

  Napi::Value read(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      Session& session = checked();
      std::lock_guard<std::mutex> lock(session.mutex());
      const Slot& slot = session.store().find(textArgument(info[0], "name"));
      std::vector<std::byte> rows(session.store().bytesOf(slot.type));
      slot.read(rows.size(), rows.data());
      return copyOut(info.Env(), rows.data(), rows.size(), slot.type.dtype, session.device().realBytes);
    });
  }

  void write(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      Session& session = checked();
      std::lock_guard<std::mutex> lock(session.mutex());
      std::string name = textArgument(info[0], "name");
      Slot& slot = session.store().find(name);
      std::vector<std::byte> rows(session.store().bytesOf(slot.type));
      copyIn(info[1], slot.type, session.device().realBytes, rows.data(), "write '" + name + "'");
      slot.write(rows.size(), rows.data());
    });
  }

  Napi::Value resident(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      Session& session = checked();
      if (!info[0].IsArray()) fail(Code::INVALID_ARGUMENT, "resident", "a list of columns", "something else");
      Napi::Array list = info[0].As<Napi::Array>();
      auto set = std::make_shared<Resident>();
      set->count = static_cast<int64_t>(numberArgument(info[1], "count", 1, 2147483647.0));
      for (uint32_t i = 0; i < list.Length(); ++i)
        set->columns.push_back(columnOf(list.Get(i).As<Napi::Object>(), set->count, session.device().space));
      session.addResident(set);
      tellCollector(info.Env());
      Napi::Object object = info.Env().GetInstanceData<Instance>()->resident.New({});
      NativeResident::Unwrap(object)->resident = set;
      return object;
    });
  }

  static Resident::Column columnOf(const Napi::Object& object, int64_t count, const std::shared_ptr<Space>& space) {
    Resident::Column column;
    column.size = static_cast<int64_t>(numberArgument(object.Get("size"), "size", 1, 2147483647.0));
    column.scale = object.Get("scale").ToNumber().DoubleValue();
    Napi::Value data = object.Get("data");
    if (!data.IsTypedArray()) fail(Code::INVALID_ARGUMENT, "resident", "typed arrays", "something else");
    Napi::TypedArray array = data.As<Napi::TypedArray>();
    size_t expected = static_cast<size_t>(count) * static_cast<size_t>(column.size);
    if (array.ElementLength() != expected)
      fail(Code::SHAPE_MISMATCH, "resident", std::to_string(expected) + " elements",
           std::to_string(array.ElementLength()));
    switch (array.TypedArrayType()) {
      case napi_uint8_array:
        column.kind = Resident::Column::Kind::bytes;
        break;
      case napi_float32_array:
        column.kind = Resident::Column::Kind::float32;
        break;
      case napi_int32_array:
        column.kind = Resident::Column::Kind::int32;
        break;
      default:
        fail(Code::DTYPE_MISMATCH, "resident", "a Uint8Array, Float32Array or Int32Array", "another array");
    }
    column.memory = Memory(array.ByteLength(), false, space);
    column.memory.write(static_cast<const uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset(),
                        array.ByteLength());
    return column;
  }

  Napi::Value memory(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      MemoryReport report = checked().memory();
      Napi::Object out = Napi::Object::New(info.Env());
      auto set = [&](const char* name, size_t bytes) { out.Set(name, Napi::Number::New(info.Env(), double(bytes))); };
      set("data", report.data);
      set("parameters", report.parameters);
      set("state", report.state);
      set("tape", report.tape);
      set("workspace", report.workspace);
      return out;
    });
  }

  void dispose(const Napi::CallbackInfo& info) {
    session_.reset();
    tellCollector(info.Env());
  }

  std::shared_ptr<Session> session_;
  int64_t told_ = 0;
};

Napi::Value devices(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  auto add = [&](const char* name, const std::string& description, const std::string& isa, const std::string& reason) {
    Napi::Object device = Napi::Object::New(env);
    device.Set("name", name);
    device.Set("description", description);
    device.Set("available", reason.empty());
    if (!isa.empty()) device.Set("isa", isa);
    if (!reason.empty()) device.Set("reason", reason);
    list.Set(list.Length(), device);
  };
  try {
    Device cpu = openDevice("cpu", "", 0, "");
    add("cpu", "float32, bf16, " + std::to_string(cpu.threads) + " threads", cpu.set, "");
  } catch (const Error& error) {
    add("cpu", "float32", "", error.what());
  }
  add("reference", "float64, plain loops, one thread", "", "");
  for (const GpuFacts& gpu : listGpus()) {
    add(gpu.name.c_str(), gpu.description, "", gpu.reason);
    Napi::Object row = list.Get(list.Length() - 1).As<Napi::Object>();
    row.Set("driver", gpu.driver);
    if (gpu.memoryBytes > 0) row.Set("memoryBytes", gpu.memoryBytes);
    if (!gpu.computeCapability.empty()) row.Set("computeCapability", gpu.computeCapability);
  }
  return list;
}

/** Opens a GPU for as long as the environment lives; its own name. NO_DEVICE, with the reason. */
Napi::Value open(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Device gpu = openGpu(textArgument(info[0], "device"), "");
    info.Env().GetInstanceData<Instance>()->opened.insert_or_assign(gpu.name, gpu);
    return Napi::String::New(info.Env(), gpu.name);
  });
}

Napi::Value listing(const Napi::CallbackInfo& info) {
  Napi::Array list = Napi::Array::New(info.Env());
  for (const KernelEntry* entry : allKernels()) {
    Napi::Object row = Napi::Object::New(info.Env());
    row.Set("name", entry->name);
    row.Set("set", entry->set);
    list.Set(list.Length(), row);
  }
  return list;
}

/** Those with kernels of their own for products at a precision: at the others a set computes as the one that it extends. */
Napi::Value sets(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    bool rounds = !info[0].IsUndefined() && textArgument(info[0], "precision") == "bf16";
    const char* kernel = rounds ? "matmul_bf16" : "matmul";
    Napi::Array list = Napi::Array::New(info.Env());
    for (const std::string& set : instructionSets())
      if (findKernel(set, kernel)->set == set) list.Set(list.Length(), set);
    return list;
  });
}

Napi::Value ceilings(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Napi::Array list = Napi::Array::New(info.Env());
    for (const Ceiling& ceiling : measuredCeilings(openDevice("cpu", textArgument(info[0], "isa"), 1, ""))) {
      Napi::Object row = Napi::Object::New(info.Env());
      row.Set("name", ceiling.name);
      row.Set("unit", ceiling.unit);
      row.Set("value", ceiling.value);
      row.Set("absence", ceiling.absence);
      list.Set(list.Length(), row);
    }
    return list;
  });
}

Napi::Value infer(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    auto program = programArgument(info[0], "infer");
    Napi::Array list = Napi::Array::New(info.Env());
    if (program->nodes.empty()) return list;
    const Node& last = program->nodes.back();
    for (uint32_t i = 0; i < last.outputs; ++i) {
      const Type& type = program->types[last.firstOutput + i];
      Napi::Object row = Napi::Object::New(info.Env());
      Napi::Array shape = Napi::Array::New(info.Env());
      for (int axis = 0; axis < type.shape.rank(); ++axis)
        shape.Set(static_cast<uint32_t>(axis), Napi::Number::New(info.Env(), double(type.shape[axis])));
      row.Set("shape", shape);
      row.Set("dtype", dtypeName(type.dtype));
      list.Set(i, row);
    }
    return list;
  });
}

Napi::Value materialiseTangent(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    std::vector<int64_t> dims;
    if (!info[2].IsArray()) fail(Code::INVALID_ARGUMENT, "materialise", "a shape", "something else");
    Napi::Array list = info[2].As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); ++i)
      dims.push_back(static_cast<int64_t>(numberArgument(list.Get(i), "a size", 0, double(maxElements))));
    Shape shape(dims);
    if (shape.count() > 2147483647) fail(Code::SHAPE_MISMATCH, "materialise", "fewer than 2^31 elements", shape.text());
    auto word = [&](int i, const char* name) {
      return static_cast<uint32_t>(numberArgument(info[i], name, 0, maxUint32));
    };
    uint32_t key[2] = {word(4, "keyLow"), word(5, "keyHigh")};
    Napi::Float32Array out = Napi::Float32Array::New(info.Env(), static_cast<size_t>(shape.count()));
    writeTangent(textArgument(info[0], "kind"), static_cast<int>(numberArgument(info[1], "rank", 0, 64)), shape,
                 word(3, "parameter"), key, word(6, "step"), word(7, "direction"), out.Data());
    return out;
  });
}

Napi::Value shuffle(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    int64_t n = static_cast<int64_t>(numberArgument(info[0], "n", 0, 2147483647.0));
    uint32_t key[2] = {static_cast<uint32_t>(numberArgument(info[1], "keyLow", 0, maxUint32)),
                       static_cast<uint32_t>(numberArgument(info[2], "keyHigh", 0, maxUint32))};
    Napi::Int32Array out = Napi::Int32Array::New(info.Env(), static_cast<size_t>(n));
    shuffleExamples(n, key, static_cast<uint32_t>(numberArgument(info[3], "epoch", 0, maxUint32)), out.Data());
    return out;
  });
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  auto* instance = new Instance(env);
  Napi::Function session = NativeSession::define(env);
  instance->session = Napi::Persistent(session);
  instance->plan = Napi::Persistent(NativePlan::define(env));
  instance->resident = Napi::Persistent(NativeResident::define(env));
  env.SetInstanceData(instance);
  exports.Set("Session", session);
  exports.Set("devices", Napi::Function::New(env, devices));
  exports.Set("open", Napi::Function::New(env, open));
  exports.Set("listing", Napi::Function::New(env, listing));
  exports.Set("instructionSets", Napi::Function::New(env, sets));
  exports.Set("ceilings", Napi::Function::New(env, ceilings));
  exports.Set("infer", Napi::Function::New(env, infer));
  exports.Set("materialise", Napi::Function::New(env, materialiseTangent));
  exports.Set("shuffle", Napi::Function::New(env, shuffle));
  return exports;
}

}  // namespace

NODE_API_MODULE(pushforward, initialise)

}  // namespace pushforward
