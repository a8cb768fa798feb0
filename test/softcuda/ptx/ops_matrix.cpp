#include "access.h"
#include "builder.h"
#include "half.h"

// ldmatrix and mma.sync with the fragments of the PTX manual: lane = 4 * group + member.
namespace softcuda {
namespace {

bool wholeWarp(Warp& w, uint32_t mask) {
  if (mask == kAll) return true;
  await(w);
  return false;
}

// Row r of matrix m at the address of lane 8 * m + r. count: matrices; immediate: offset; flags & kNarrow: transposed
void loadMatrix(Warp& w, const Instruction& i, uint32_t mask) {
  if (!wholeWarp(w, mask)) return;
  uint64_t a[kLanes];
  addresses(w, i, true, a);
  uint32_t rows = i.count == 4 ? kAll : (1u << 8 * i.count) - 1;
  if (w.counting) countShared(w, a, 16, rows);
  uint16_t m[kLanes][8];
  for (unsigned l = 0; l < i.count * 8u; ++l) std::memcpy(m[l], check<Access::Read>(w, w.shared, a[l], 16, l), 16);
  for (unsigned n = 0; n < i.count; ++n) {
    uint32_t* d = w.lanes<uint32_t>(w.program->extras[i.extra + n]);
    for (unsigned l = 0; l < kLanes; ++l) {
      unsigned group = l / 4, member = l % 4;
      uint32_t low, high;
      if (i.flags & kNarrow)
        low = m[8 * n + 2 * member][group], high = m[8 * n + 2 * member + 1][group];
      else
        low = m[8 * n + group][2 * member], high = m[8 * n + group][2 * member + 1];
      d[l] = low | high << 16;
    }
  }
}

void decodeLoadMatrix(Builder& b, Opcode o) {
  if (!o.take("sync") || !o.take("aligned") || !o.take("m8n8")) b.failModifier(o);
  Instruction i;
  i.run = loadMatrix;
  i.control = 1;
  std::string_view count = o.takeOne({"x1", "x2", "x4"});
  if (count.empty()) b.failModifier(o);
  i.count = static_cast<uint8_t>(count[1] - '0');
  if (o.take("trans")) i.flags |= kNarrow;
  if (o.takeOne({"shared", "shared::cta"}).empty() || !o.take("b16")) b.failModifier(o);
  b.finish(o);
  b.expectOperands(2, 2);
  b.address(b.operand(1), i, Space::Shared);
  const Operand& d = b.operand(0);
  if (d.kind != Operand::Vector || d.items.size() != i.count) b.fail("expected a vector of registers");
  std::vector<uint32_t> offsets;
  for (const Operand& item : d.items) offsets.push_back(b.destination(item, 4));
  i.extra = b.extra(offsets);
  b.emit(i);
}

enum Input { kHalf, kBfloat, kTf32 };

// Place of element e of a lane's fragment. 16-bit elements come in pairs along k.
struct Place {
  unsigned row, column;
};
Place placeA(Input input, unsigned lane, unsigned e) {
  unsigned group = lane / 4, member = lane % 4;
  if (input == kTf32) return {group + e % 2 * 8, member + e / 2 * 4};
  return {group + e / 2 % 2 * 8, 2 * member + e % 2 + e / 4 * 8};
}
Place placeB(Input input, unsigned lane, unsigned e) {
  unsigned group = lane / 4, member = lane % 4;
  if (input == kTf32) return {member + e * 4, group};
  return {2 * member + e % 2 + e / 2 * 8, group};
}
Place placeC(unsigned lane, unsigned e) { return {lane / 4 + e / 2 * 8, lane % 4 * 2 + e % 2}; }

template <Input input>
double element(const Warp& w, const uint32_t* offsets, unsigned lane, unsigned e) {
  if (input == kTf32) {
    uint32_t bits = w.lanes<uint32_t>(offsets[e])[lane];
    if (w.checks && bits & 0x1FFF) fault(w, FaultKind::NotTf32, lane, "an operand of mma that is not rounded to tf32");
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
  }
  uint16_t bits = static_cast<uint16_t>(w.lanes<uint32_t>(offsets[e / 2])[lane] >> 16 * (e % 2));
  return input == kHalf ? Half::decode(bits) : Bfloat::decode(bits);
}

// D = A B + C for A [16, k], B [k, 8]: the sum over k in float64, where the products are exact, then one rounding. The
// hardware's own order and rounding are not documented. extra: registers of D, A, B, C; flags: C and D are float16
template <Input input, unsigned k>
void multiply(Warp& w, const Instruction& i, uint32_t mask) {
  if (!wholeWarp(w, mask)) return;
  constexpr unsigned perRegister = input == kTf32 ? 1 : 2;
  constexpr unsigned elementsA = 16 * k / kLanes, elementsB = 8 * k / kLanes;
  const uint32_t* d = w.program->extras.data() + i.extra;
  unsigned accumulators = i.flags ? 2 : 4;
  const uint32_t *a = d + accumulators, *b = a + elementsA / perRegister, *c = b + elementsB / perRegister;
  double A[16][k], B[k][8], D[16][8];
  for (unsigned l = 0; l < kLanes; ++l) {
    for (unsigned e = 0; e < elementsA; ++e) {
      Place p = placeA(input, l, e);
      A[p.row][p.column] = element<input>(w, a, l, e);
    }
    for (unsigned e = 0; e < elementsB; ++e) {
      Place p = placeB(input, l, e);
      B[p.row][p.column] = element<input>(w, b, l, e);
    }
    for (unsigned e = 0; e < 4; ++e) {
      Place p = placeC(l, e);
      uint32_t bits = i.flags ? w.lanes<uint32_t>(c[e / 2])[l] : w.lanes<uint32_t>(c[e])[l];
      float x;
      std::memcpy(&x, &bits, 4);
      D[p.row][p.column] = i.flags ? Half::decode(static_cast<uint16_t>(bits >> 16 * (e % 2))) : x;
    }
  }
  for (unsigned row = 0; row < 16; ++row) {
    double sum[8] = {};
    for (unsigned n = 0; n < k; ++n)
      for (unsigned column = 0; column < 8; ++column) sum[column] += A[row][n] * B[n][column];
    for (unsigned column = 0; column < 8; ++column) D[row][column] += sum[column];
  }
  for (unsigned l = 0; l < kLanes; ++l) {
    for (unsigned e = 0; e < 4; e += 2) {
      Place p = placeC(l, e);
      double first = D[p.row][p.column], second = D[p.row][p.column + 1];
      if (i.flags) {
        w.lanes<uint32_t>(d[e / 2])[l] = Half::encode(first) | static_cast<uint32_t>(Half::encode(second)) << 16;
      } else {
        w.lanes<float>(d[e])[l] = static_cast<float>(first);
        w.lanes<float>(d[e + 1])[l] = static_cast<float>(second);
      }
    }
  }
}

struct Shape {
  Handler run;
  bool halfAccumulators;
  unsigned registersA, registersB;
};

const std::unordered_map<std::string, Shape>& shapes() {
  static const std::unordered_map<std::string, Shape> table = {
      {".sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", {multiply<kHalf, 16>, false, 4, 2}},
      {".sync.aligned.m16n8k16.row.col.f16.f16.f16.f16", {multiply<kHalf, 16>, true, 4, 2}},
      {".sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", {multiply<kBfloat, 16>, false, 4, 2}},
      {".sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", {multiply<kHalf, 8>, false, 2, 1}},
      {".sync.aligned.m16n8k8.row.col.f16.f16.f16.f16", {multiply<kHalf, 8>, true, 2, 1}},
      {".sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32", {multiply<kBfloat, 8>, false, 2, 1}},
      {".sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", {multiply<kTf32, 8>, false, 4, 2}},
      {".sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32", {multiply<kTf32, 4>, false, 2, 1}}};
  return table;
}

void decodeMultiply(Builder& b, Opcode o) {
  auto found = shapes().find(o.rest());
  if (found == shapes().end()) b.failModifier(o);
  const Shape& s = found->second;
  b.expectOperands(4, 4);
  unsigned accumulators = s.halfAccumulators ? 2 : 4;
  unsigned expected[4] = {accumulators, s.registersA, s.registersB, accumulators};
  std::vector<uint32_t> offsets;
  for (size_t n = 0; n < 4; ++n) {
    const Operand& v = b.operand(n);
    if (v.kind != Operand::Vector || v.items.size() != expected[n]) b.fail("wrong number of registers");
    for (const Operand& item : v.items) offsets.push_back(n == 0 ? b.destination(item, 4) : b.source(item, 4));
  }
  Instruction i;
  i.run = s.run;
  i.control = 1;
  i.flags = s.halfAccumulators;
  i.extra = b.extra(offsets);
  b.emit(i);
}

}  // namespace

void addMatrixDecoders(Decoders& d) {
  d["ldmatrix"] = decodeLoadMatrix;
  d["mma"] = decodeMultiply;
}

}  // namespace softcuda
