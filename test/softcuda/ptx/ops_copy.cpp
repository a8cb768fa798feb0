#include "access.h"
#include "builder.h"

namespace softcuda {

void addCopyDecoders(Decoders&) {}

}  // namespace softcuda
