// y = A B over the last two axes, batch axes broadcast: A = a or aᵀ, B = b or bᵀ (transposeA, transposeB).
// unrounded: at no precision are its operands rounded.
//   ẏ = Ȧ B + A Ḃ
//   ā = ȳ Bᵀ (transposed: B ȳᵀ), b̄ = Aᵀ ȳ (transposed: ȳᵀ A), summed over the batch axes along which they were broadcast
#include "ops/matmul.h"

#include "core/builder.h"
#include "core/error.h"
#include "core/op.h"

namespace pushforward {

namespace {

using Values = std::vector<ValueId>;

struct Product {
  bool transposeA, transposeB;
  int64_t m, n, k;
  Shape batch;
};

Product productOf(const Shape& a, const Shape& b, const Attributes& attributes) {
  if (a.rank() < 2 || b.rank() < 2)
    fail(Code::SHAPE_MISMATCH, "matmul", "two tensors of at least two axes", a.text() + " and " + b.text());
  Product p{attributes.flag("transposeA"), attributes.flag("transposeB"), 0, 0, 0, {}};
  int ra = a.rank(), rb = b.rank();
  p.m = a[p.transposeA ? ra - 1 : ra - 2];
  p.k = a[p.transposeA ? ra - 2 : ra - 1];
  p.n = b[p.transposeB ? rb - 2 : rb - 1];
  int64_t kb = b[p.transposeB ? rb - 1 : rb - 2];
  if (p.k != kb)
    fail(Code::SHAPE_MISMATCH, "matmul", "inner sizes that agree",
         a.text() + (p.transposeA ? "ᵀ" : "") + " and " + b.text() + (p.transposeB ? "ᵀ" : "") + " (" +
             std::to_string(p.k) + " and " + std::to_string(kb) + ")");
  std::vector<int64_t> da = a.dims(), db = b.dims();
  p.batch = broadcastShapes("matmul", Shape(std::vector<int64_t>(da.begin(), da.end() - 2)),
                            Shape(std::vector<int64_t>(db.begin(), db.end() - 2)));
  return p;
}

std::vector<Type> inferMatmul(const TypeContext& context) {
  for (const Type* type : context.input)
    if (type->dtype != DType::real) fail(Code::DTYPE_MISMATCH, "matmul", "real tensors", type->text());
  Product p = productOf(context.input[0]->shape, context.input[1]->shape, context.attributes);
  std::vector<int64_t> dims = p.batch.dims();
  dims.push_back(p.m);
  dims.push_back(p.n);
  return {{DType::real, Shape(dims)}};
}

/** A product that is part of the derivative of `node`. */
ValueId emitMatmul(Builder& b, const Node& node, ValueId x, ValueId y, bool transposeA, bool transposeB) {
  Attributes attributes{{"transposeA", double(transposeA)}, {"transposeB", double(transposeB)}};
  if (node.attributes.flag("unrounded")) attributes.set("unrounded", 1.0);
  return b.emit("matmul", {x, y}, attributes);
}

void jvpMatmul(JvpContext& context) {
  Builder& b = context.b;
  bool ta = context.node.attributes.flag("transposeA"), tb = context.node.attributes.flag("transposeB");
  ValueId y = emitMatmul(b, context.node, context.x[0], context.x[1], ta, tb);
  int rank = b.shape(y).rank();
  ValueId yDot = none;
  if (context.xDot[0] != none)
    yDot = emitMatmul(b, context.node, b.alignTangent(context.xDot[0], rank), context.x[1], ta, tb);
  if (context.xDot[1] != none)
    yDot = b.addOrNone(yDot, emitMatmul(b, context.node, context.x[0], b.alignTangent(context.xDot[1], rank), ta, tb));
  context.y = {y};
  context.yDot = {b.broadcast(yDot, b.shape(y).prepend(context.directions))};
}

void vjpMatmul(VjpContext& context) {
  Builder& b = context.b;
  bool ta = context.node.attributes.flag("transposeA"), tb = context.node.attributes.flag("transposeB");
  ValueId x = context.x[0], w = context.x[1], yBar = context.yBar[0];
  auto product = [&](ValueId left, ValueId right, bool transposeA, bool transposeB) {
    return emitMatmul(b, context.node, left, right, transposeA, transposeB);
  };
  if (context.wanted[0])
    context.xBar[0] = b.unbroadcast(ta ? product(w, yBar, tb, true) : product(yBar, w, false, !tb), b.shape(x));
  if (context.wanted[1])
    context.xBar[1] = b.unbroadcast(tb ? product(yBar, x, true, ta) : product(x, yBar, !ta, false), b.shape(w));
}

MatmulParameters parametersOf(const PlanContext& context) {
  const Shape &a = context.input[0]->shape, &b = context.input[1]->shape;
  Product p = productOf(a, b, context.node.attributes);
  MatmulParameters out{};
  out.m = p.m;
  out.n = p.n;
  out.k = p.k;
  out.transposeA = p.transposeA;
  out.transposeB = p.transposeB;
  out.layout = context.layout[1].layout;
  auto batchOf = [](const Shape& shape) {
    std::vector<int64_t> dims = shape.dims();
    return Shape(std::vector<int64_t>(dims.begin(), dims.end() - 2));
  };
  Shape batchA = batchOf(a), batchB = batchOf(b);
  // One matrix for all of the batch and rows in order: the batch is more rows, and the matrix is read once.
  if (!p.transposeA && batchB.count() == 1 && batchA.count() == p.batch.count()) {
    out.m *= p.batch.count();
    return out;
  }
  out.batchRank = p.batch.rank();
  std::vector<int64_t> sa = broadcastStrides(batchA, p.batch), sb = broadcastStrides(batchB, p.batch);
  for (int axis = 0; axis < out.batchRank; ++axis) {
    out.batchShape[axis] = p.batch[axis];
    out.aStride[axis] = sa[axis] * p.m * p.k;
    out.bStride[axis] = sb[axis] * p.k * p.n;
  }
  return out;
}

Cost costOf(const PlanContext& context) {
  Product p = productOf(context.input[0]->shape, context.input[1]->shape, context.node.attributes);
  double batch = double(p.batch.count());
  return {2.0 * batch * double(p.m) * double(p.n) * double(p.k),
          4.0 * (double(context.input[0]->shape.count()) + double(context.input[1]->shape.count()) +
                 batch * double(p.m * p.n)),
          0};
}

const OpRegistration matmul = [] {
  Op op;
  op.name = "matmul";
  op.minInputs = op.maxInputs = 2;
  op.attributes = {{"transposeA", AttributeKind::number},
                   {"transposeB", AttributeKind::number},
                   {"unrounded", AttributeKind::number}};
  op.infer = inferMatmul;
  op.jvp = jvpMatmul;
  op.vjp = vjpMatmul;
  op.kernels = [](const PlanContext& context) -> std::vector<KernelPlan> {
    return {{productKernel(context, "matmul"), parameterBlock(parametersOf(context)), allOperands(context)}};
  };
  op.takesPanels = {1};
  op.cost = costOf;
  return op;
}();

}  // namespace

}  // namespace pushforward
