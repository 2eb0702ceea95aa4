// Everything as one module.

#include "columns.cu"
#include "copies.cu"
#include "embedding.cu"
#include "feature_gate.cu"
#include "gate.cu"
#include "loss.cu"
#include "optimizer.cu"
