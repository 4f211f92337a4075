import { expect, it } from "vitest";
import { deviceProblem } from "./device-errors.ts";

const where =
  "; GPU=0 ; hostname=box ; file=/onnxruntime_src/cuda_execution_provider.cc ; line=448 ; expr=cudaStreamSynchronize(stream_);";
const node = "Non-zero status code returned while running Conv node. Name:'conv' Status Message: ";

it.each([
  ["lost", `CUDA failure 46: all CUDA-capable devices are busy or unavailable ${where}`],
  ["lost", `CUDA failure 999: unknown error ; GPU=192915439 ; expr=cudaSetDevice(info_.device_id);`],
  ["lost", `${node}CUDA failure 214: uncorrectable ECC error encountered ${where}`],
  ["lost", "CUDA error: uncorrectable ECC error encountered"],
  ["fault", `${node}CUDA failure 700: an illegal memory access was encountered ${where}`],
  ["fault", `CUDA failure 719: unspecified launch failure ${where}`],
  ["fault", `${node}CUDNN failure 8: CUDNN_STATUS_EXECUTION_FAILED ${where}`],
  ["fault", `${node}CUDNN failure 5003: CUDNN_STATUS_EXECUTION_FAILED_CUDART ${where}`],
  ["fault", `${node}CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED ${where}`],
  // The size of the job, a machine without a device, an old driver, a call that was wrong.
  [null, `CUDA failure 2: out of memory ${where}`],
  [null, `CUDA failure 100: no CUDA-capable device is detected ${where}`],
  [null, `CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ${where}`],
  [null, `Transpose failed: CUDA failure 1: invalid argument ${where}`],
  [null, `CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ${where}`],
  [null, "Load model from unet/model.onnx failed:Protobuf parsing failed."],
])("%s: %s", (problem, message) => {
  expect(deviceProblem(message)).toBe(problem);
});
