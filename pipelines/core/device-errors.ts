/*
 * What ONNX Runtime's CUDA provider says of a device, by the number in its message:
 *
 *   CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=… ; file=… ; line=… ; expr=…
 *   CUDNN failure 8: CUDNN_STATUS_EXECUTION_FAILED ; GPU=0 ; …        CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED ; …
 *
 * Numbers: `cudaError_t`, https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html
 */
const cudaFailure = /CUDA failure (\d+)/i;

/** The device, its driver or its memory: nothing that runs there can succeed. */
const lost = new Set([
  3, // initialization error
  46, // all devices are busy or unavailable
  214, // uncorrectable ECC error
  220, // uncorrectable NVLink error
  // What a device that fell off the bus answers.
  101, // invalid device ordinal
  304, // operating system call failed
  802, // system not yet initialized
  803, // driver and library do not fit each other
  999, // unknown error
]);

/** A kernel went wrong. Every later call of the process fails too, while a new process may do well. */
const isFault = (code: number) => code === 77 || (code >= 700 && code <= 721);

/**
 * `lost`: the device is gone or broken. `fault`: what ran on it failed in a way that leaves this process without the device.
 * Null: something else, or no device at all (a machine without one is no machine that lost it).
 */
export function deviceProblem(message: string): "lost" | "fault" | null {
  const code = cudaFailure.exec(message)?.[1];
  if (code !== undefined) {
    if (lost.has(Number(code))) return "lost";
    return isFault(Number(code)) ? "fault" : null;
  }
  if (/uncorrectable ECC|fallen off the bus|device (?:was )?lost|NVLink error/i.test(message)) return "lost";
  return /CU(?:DNN|BLAS)_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR)|unspecified launch failure/i.test(message)
    ? "fault"
    : null;
}
