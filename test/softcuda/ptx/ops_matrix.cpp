#include "access.h"
#include "builder.h"

namespace softcuda {

void addMatrixDecoders(Decoders&) {}

}  // namespace softcuda
