// chain: outputs = program(inputs), element by element over a broadcast iteration space. A block of elements at a
// time runs through the whole program while it is in L1; each micro-op is one loop over vectors, found in a table by
// its row.
#include "cpu/micro.h"
#include "cpu/parallel.h"
#include "cpu/vector.h"
#include "cpu/vector_math.h"
#include "ops/elementwise.h"
#include "ops/elementwise_table.h"

namespace pushforward::cpu::PUSHFORWARD_ISA {

/** The number type of the table's formulas: a vector that numbers convert to. */
struct Real {
  Float v;
  Real(Float x) : v(x) {}
  Real(double x) : v(broadcast(static_cast<float>(x))) {}
};
struct Mask {
  Int v;
};

PUSHFORWARD_INLINE Real operator+(Real x, Real y) { return x.v + y.v; }
PUSHFORWARD_INLINE Real operator-(Real x, Real y) { return x.v - y.v; }
PUSHFORWARD_INLINE Real operator*(Real x, Real y) { return x.v * y.v; }
PUSHFORWARD_INLINE Real operator/(Real x, Real y) { return x.v / y.v; }
PUSHFORWARD_INLINE Real operator-(Real x) { return -x.v; }
PUSHFORWARD_INLINE Mask operator<(Real x, Real y) { return {x.v < y.v}; }
PUSHFORWARD_INLINE Mask operator<=(Real x, Real y) { return {x.v <= y.v}; }
PUSHFORWARD_INLINE Mask operator>(Real x, Real y) { return {x.v > y.v}; }
PUSHFORWARD_INLINE Mask operator>=(Real x, Real y) { return {x.v >= y.v}; }
PUSHFORWARD_INLINE Mask operator==(Real x, Real y) { return {x.v == y.v}; }
PUSHFORWARD_INLINE Mask operator!=(Real x, Real y) { return {x.v != y.v}; }
PUSHFORWARD_INLINE Mask operator|(Mask x, Mask y) { return {x.v | y.v}; }
PUSHFORWARD_INLINE Real select(Mask mask, Real x, Real y) { return select(mask.v, x.v, y.v); }

#define PUSHFORWARD_LIFT(f) \
  PUSHFORWARD_INLINE Real f(Real x) { return f(x.v); }
PUSHFORWARD_LIFT(exp)
PUSHFORWARD_LIFT(log)
PUSHFORWARD_LIFT(sqrt)
PUSHFORWARD_LIFT(sin)
PUSHFORWARD_LIFT(cos)
PUSHFORWARD_LIFT(tanh)
PUSHFORWARD_LIFT(sigmoid)
PUSHFORWARD_LIFT(gelu)
PUSHFORWARD_LIFT(geluTanh)
PUSHFORWARD_LIFT(silu)
PUSHFORWARD_LIFT(softplus)
PUSHFORWARD_LIFT(erf)
PUSHFORWARD_LIFT(abs)
PUSHFORWARD_INLINE Real pow(Real x, Real y) { return pow(x.v, y.v); }
PUSHFORWARD_INLINE Real elu(Real x, Real y) { return elu(x.v, y.v); }

/** A register: a block of elements (step 1), or one scalar repeated over a vector (step 0). */
struct Operand {
  const float* data;
  int64_t step;
};

// The elements beyond the last whole vector pass through small buffers in a second turn of the same loop, so that a
// formula is compiled once and no memory beyond the operands is touched.
template <class Row, int arity>
static void runRow(int64_t n, const Operand* in, float* out) {
  const float *x = in[0].data, *y = arity > 1 ? in[1].data : nullptr, *z = arity > 2 ? in[2].data : nullptr;
  const int64_t xStep = in[0].step * lanes, yStep = arity > 1 ? in[1].step * lanes : 0,
                zStep = arity > 2 ? in[2].step * lanes : 0;
  const int rest = static_cast<int>(n % lanes);
  float buffer[3][lanes], last[lanes];
  float* to = out;
  for (int64_t count = n - rest;; count = lanes) {
    for (int64_t i = 0; i < count; i += lanes) {
      const Float a = load(x), b = arity > 1 ? load(y) : Float{}, c = arity > 2 ? load(z) : Float{};
      store(to, Row::apply(a, b, c).v);
      x += xStep;
      if (arity > 1) y += yStep;
      if (arity > 2) z += zStep;
      to += lanes;
    }
    if (rest == 0) return;
    if (to == last + lanes) break;
    const auto copy = [&](int k, const float*& p) { store(buffer[k], loadPartial(p, rest)), p = buffer[k]; };
    copy(0, x);
    if (arity > 1) copy(1, y);
    if (arity > 2) copy(2, z);
    to = last;
  }
  storePartial(out + (n - rest), load(last), rest);
}

#define PUSHFORWARD_ROW(name, arity, integer, formula, ...) \
  struct name##Row {                                        \
    PUSHFORWARD_INLINE Real apply(Real x, Real y, Real z) { \
      (void)y, (void)z;                                     \
      return formula;                                       \
    }                                                       \
  };
PUSHFORWARD_ELEMENTWISE(PUSHFORWARD_ROW)
#undef PUSHFORWARD_ROW

using RowFunction = void (*)(int64_t n, const Operand* in, float* out);
#define PUSHFORWARD_ROW(name, arity, ...) runRow<name##Row, arity>,
static constexpr RowFunction rowFunctions[] = {PUSHFORWARD_ELEMENTWISE(PUSHFORWARD_ROW)};
#undef PUSHFORWARD_ROW

/** A program at work on one block after another. */
struct Machine {
  const MicroProgram& program;
  Operand registers[maxMicroInputs + maxMicroImmediates + maxMicroOps];
  int direct[maxMicroOps];     // the output that op i writes itself, or -1: a slot of scratch
  bool done[maxMicroOutputs];  // some op writes it
  bool keepInputs;             // an output lies on an input: copies of inputs are taken before anything is stored
  float immediates[maxMicroImmediates][lanes];

  /** `aligned[o]`: output o is floats in the order of the registers, so that an op can write there. */
  Machine(const MicroProgram& p, const void* const* inputs, void* const* outputs, const bool* aligned) : program(p) {
    for (int i = 0; i < p.immediates; ++i) {
      store(immediates[i], broadcast(static_cast<float>(p.immediate[i])));
      registers[p.inputs + i] = {immediates[i], 0};
    }
    keepInputs = false;
    for (int i = 0; i < p.ops; ++i) direct[i] = -1;
    for (int o = 0; o < p.outputs; ++o) {
      bool shared = false;
      for (int i = 0; i < p.inputs; ++i) shared = shared || inputs[i] == outputs[o];
      keepInputs = keepInputs || shared;
      const int op = p.output[o] - p.inputs - p.immediates;
      done[o] = op >= 0 && aligned[o] && direct[op] < 0 && (!shared || (p.outputs == 1 && op == p.ops - 1));
      if (done[o]) direct[op] = o;
    }
  }

  /**
   * Runs n elements; registers of the inputs are set. Calls put(o, register) for every output that no op has written.
   */
  template <class Put>
  void run(int64_t n, float* const* outputs, float* scratch, int64_t capacity, const Put& put) {
    const int first = program.inputs + program.immediates;
    for (int i = 0; i < program.ops; ++i) {
      const MicroOp& op = program.op[i];
      Operand in[3];
      for (int k = 0; k < 3 && op.in[k] >= 0; ++k) in[k] = registers[op.in[k]];
      float* to = direct[i] >= 0 ? outputs[direct[i]] : scratch + i * capacity;
      rowFunctions[op.row](n, in, to);
      registers[first + i] = {to, 1};
    }
    Operand from[maxMicroOutputs];
    for (int o = 0; o < program.outputs; ++o) {
      from[o] = registers[program.output[o]];
      if (done[o] || !keepInputs || program.output[o] >= program.inputs || from[o].step == 0) continue;
      float* kept = scratch + (program.ops + o) * capacity;
      __builtin_memcpy(kept, from[o].data, static_cast<size_t>(n) * sizeof(float));
      from[o].data = kept;
    }
    for (int o = 0; o < program.outputs; ++o)
      if (!done[o]) put(o, from[o]);
  }
};

template <class T>
static void copyOut(int64_t n, const Operand& from, T* to) {
  if (from.step == 0)
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(from.data[0]);
  else
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(from.data[i]);
}

void runMicroProgram(const MicroProgram& program, int64_t n, const float* const* inputs, float* const* outputs,
                     float* scratch) {
  const void* in[maxMicroInputs];
  void* out[maxMicroOutputs];
  const bool aligned[maxMicroOutputs] = {true, true, true, true};
  for (int i = 0; i < program.inputs; ++i) in[i] = inputs[i];
  for (int o = 0; o < program.outputs; ++o) out[o] = outputs[o];
  Machine machine(program, in, out, aligned);
  for (int i = 0; i < program.inputs; ++i) machine.registers[i] = {inputs[i], 1};
  machine.run(n, outputs, scratch, microElements(program),
              [&](int o, const Operand& from) { copyOut(n, from, outputs[o]); });
}

/** How one input is read. */
enum class Access { direct, scalar, periodic, gathered };

/** The iteration space, cut into units of at most `block` elements, all inside one row when rows are long. */
struct Space {
  const ChainParameters& p;
  int64_t inner = 1, rows = 1;
  bool byRow;
  int64_t block, pieces;  // pieces: units of a row, or of everything
  Access access[maxMicroInputs];
  int64_t period[maxMicroInputs];

  explicit Space(const ChainParameters& parameters) : p(parameters) {
    for (int axis = 0; axis < p.rank - 1; ++axis) rows *= p.shape[axis];
    if (p.rank > 0) inner = p.shape[p.rank - 1];
    bool flat = true;
    for (int i = 0; i < p.program.inputs; ++i) {
      classify(i);
      flat = flat && (access[i] == Access::direct || access[i] == Access::scalar);
    }
    byRow = !flat && inner >= 192;
    if (byRow) {
      for (int i = 0; i < p.program.inputs; ++i)
        if (access[i] == Access::periodic) access[i] = Access::gathered;
    } else {
      inner *= rows;
      rows = 1;
    }
    const int64_t limit = p.program.ops > 16 ? microBlock / 2 : microBlock;
    pieces = (inner + limit - 1) / limit;
    block = byRow ? ((inner + pieces - 1) / pieces + 15) / 16 * 16 : limit;
    if (block > limit) block = limit;
  }

  void classify(int i) {
    const int64_t* stride = p.stride[i];
    // From the last axis outwards: as long as the strides are those of a dense tensor it is one, `dense` elements so
    // far.
    int64_t dense = 1, later = 1;
    bool periodic = true, ended = false;
    for (int axis = p.rank - 1; axis >= 0; --axis) {
      if (p.shape[axis] == 1) continue;
      if (!ended && stride[axis] == dense)
        dense *= p.shape[axis];
      else if (stride[axis] == 0)
        ended = true;
      else
        periodic = false;
      later *= p.shape[axis];
    }
    period[i] = dense;
    access[i] = !periodic        ? Access::gathered
                : dense == later ? (p.integer[i] ? Access::gathered : Access::direct)
                : dense == 1     ? Access::scalar
                                 : Access::periodic;
    if (later == 1) access[i] = Access::scalar;
  }

  int64_t units() const { return rows * pieces; }
};

template <class T>
static void gatherPeriodic(const T* from, int64_t period, int64_t begin, int64_t n, float* to) {
  int64_t phase = begin % period;
  const int64_t head = n < period ? n : period;
  for (int64_t k = 0; k < head; ++k) {
    to[k] = static_cast<float>(from[phase]);
    if (++phase == period) phase = 0;
  }
  for (int64_t filled = head; filled < n;) {  // whole periods stand there: double them
    const int64_t more = filled < n - filled ? filled : n - filled;
    __builtin_memcpy(to + filled, to, static_cast<size_t>(more) * sizeof(float));
    filled += more;
  }
}

template <class T>
static void gatherStrided(const ChainParameters& p, const int64_t* stride, const T* from, int64_t begin, int64_t n,
                          float* to) {
  int64_t index[maxRank], rest = begin;
  for (int axis = p.rank - 1; axis >= 0; --axis) {
    index[axis] = rest % p.shape[axis];
    rest /= p.shape[axis];
    from += index[axis] * stride[axis];
  }
  const int last = p.rank - 1;
  const int64_t step = stride[last];
  while (n > 0) {
    const int64_t left = p.shape[last] - index[last], run = left < n ? left : n;
    if (step == 0)
      for (int64_t k = 0; k < run; ++k) to[k] = static_cast<float>(from[0]);
    else if (step == 1)
      for (int64_t k = 0; k < run; ++k) to[k] = static_cast<float>(from[k]);
    else
      for (int64_t k = 0; k < run; ++k) to[k] = static_cast<float>(from[k * step]);
    to += run;
    n -= run;
    from -= index[last] * step;
    index[last] = 0;
    for (int axis = last - 1; axis >= 0; --axis) {
      from += stride[axis];
      if (++index[axis] < p.shape[axis]) break;
      from -= p.shape[axis] * stride[axis];
      index[axis] = 0;
    }
  }
}

static void chain(const KernelCall& call) {
  const ChainParameters& p = *static_cast<const ChainParameters*>(call.parameters);
  const MicroProgram& program = p.program;
  const void* const* inputs = call.operands;
  void* const* outputs = call.operands + program.inputs;
  const uint8_t* integerOutput = p.integer + program.inputs;
  const Space space(p);
  if (space.inner <= 0 || space.rows <= 0) return;

  parallelRanges(call, space.units(), 16384 / space.block, 1, [&](int64_t firstUnit, int64_t endUnit, int) {
    float scratch[(maxMicroOps + maxMicroOutputs + maxMicroInputs) * microBlock];
    float scalars[maxMicroInputs][lanes];
    bool aligned[maxMicroOutputs];
    for (int o = 0; o < program.outputs; ++o) aligned[o] = integerOutput[o] == 0;
    Machine machine(program, inputs, outputs, aligned);
    const auto setScalar = [&](int i, int64_t offset) {
      const float value = p.integer[i] ? static_cast<float>(static_cast<const int32_t*>(inputs[i])[offset])
                                       : static_cast<const float*>(inputs[i])[offset];
      store(scalars[i], broadcast(value));
      machine.registers[i] = {scalars[i], 0};
    };
    for (int i = 0; i < program.inputs; ++i)
      if (space.access[i] == Access::scalar) setScalar(i, 0);

    for (int64_t unit = firstUnit; unit < endUnit; ++unit) {
      const int64_t row = unit / space.pieces, column = unit % space.pieces * space.block;
      if (column >= space.inner) continue;
      const int64_t n = column + space.block < space.inner ? space.block : space.inner - column;
      const int64_t begin = row * space.inner + column;
      // What the next unit reads and writes is fetched while this one is computed.
      for (int64_t j = begin + n; j < begin + 2 * n; j += 16) {
        for (int i = 0; i < program.inputs; ++i)
          if (space.access[i] == Access::direct) __builtin_prefetch(static_cast<const float*>(inputs[i]) + j);
        for (int o = 0; o < program.outputs; ++o) __builtin_prefetch(static_cast<const float*>(outputs[o]) + j, 1);
      }
      for (int i = 0; i < program.inputs; ++i) {
        float* slot = scratch + (maxMicroOps + maxMicroOutputs + i) * microBlock;
        const int64_t* stride = p.stride[i];
        if (space.access[i] == Access::direct) {
          machine.registers[i] = {static_cast<const float*>(inputs[i]) + begin, 1};
        } else if (space.access[i] == Access::periodic) {
          if (p.integer[i])
            gatherPeriodic(static_cast<const int32_t*>(inputs[i]), space.period[i], begin, n, slot);
          else
            gatherPeriodic(static_cast<const float*>(inputs[i]), space.period[i], begin, n, slot);
          machine.registers[i] = {slot, 1};
        } else if (space.access[i] == Access::gathered) {
          const int64_t step = stride[p.rank - 1];
          if (space.byRow && (step == 0 || (step == 1 && !p.integer[i]))) {
            int64_t offset = 0, rest = row;
            for (int axis = p.rank - 2; axis >= 0 && rest > 0; --axis) {
              offset += rest % p.shape[axis] * stride[axis];
              rest /= p.shape[axis];
            }
            if (step == 0)
              setScalar(i, offset);
            else
              machine.registers[i] = {static_cast<const float*>(inputs[i]) + offset + column, 1};
          } else {
            if (p.integer[i])
              gatherStrided(p, stride, static_cast<const int32_t*>(inputs[i]), begin, n, slot);
            else
              gatherStrided(p, stride, static_cast<const float*>(inputs[i]), begin, n, slot);
            machine.registers[i] = {slot, 1};
          }
        }
      }
      float* to[maxMicroOutputs];
      for (int o = 0; o < program.outputs; ++o) to[o] = static_cast<float*>(outputs[o]) + begin;
      machine.run(n, to, scratch, microBlock, [&](int o, const Operand& from) {
        if (integerOutput[o])
          copyOut(n, from, static_cast<int32_t*>(outputs[o]) + begin);
        else
          copyOut(n, from, to[o]);
      });
    }
  });
}

PUSHFORWARD_CPU_KERNEL(chain, chain, nullptr)

}  // namespace pushforward::cpu::PUSHFORWARD_ISA
