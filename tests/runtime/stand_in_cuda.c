/* In place of the NVIDIA driver, CUDA's runtime library, cuBLAS, cuDNN and the like, on a machine without a GPU: all goes well, and nothing
is computed.

So Jittor compiles for a card of compute capability CAPABILITY, and starts what it compiled, whose results are what was in memory: the
card's is the machine's. The driver alone could not be replaced: NVIDIA's libraries ask it for tables that are documented nowhere. */
#include <driver_types.h>
#include <stdlib.h>
#include <string.h>

enum { CAPABILITY = 90, DRIVER = 13000, MAJOR = 75, MINOR = 76 };
#define MEMORY ((size_t)8 << 30)
#define STAND_IN(name) int name(void) { return 0; }

/* The driver */
STAND_IN(cuInit)
int cuDriverGetVersion(int *version) { *version = DRIVER; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int number) { *device = number; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == MAJOR ? CAPABILITY / 10 : attribute == MINOR ? CAPABILITY % 10 : 1;
    return 0;
}

/* The runtime library: the card */
cudaError_t cudaGetDeviceCount(int *count) { return cuDeviceGetCount(count); }
cudaError_t cudaGetDevice(int *device) { return cuDeviceGet(device, 0); }
cudaError_t cudaDriverGetVersion(int *version) { return cuDriverGetVersion(version); }
cudaError_t cudaRuntimeGetVersion(int *version) { return cuDriverGetVersion(version); }
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device) {
    memset(properties, 0, sizeof *properties);
    strcpy(properties->name, "stand-in");
    properties->major = CAPABILITY / 10;
    properties->minor = CAPABILITY % 10;
    properties->totalGlobalMem = MEMORY;
    properties->multiProcessorCount = 1;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device) {
    return cuDeviceGetAttribute(value, attribute, device);
}
cudaError_t cudaMemGetInfo(size_t *available, size_t *total) { *available = *total = MEMORY; return cudaSuccess; }
const char *cudaGetErrorName(cudaError_t error) { return "no error"; }
const char *cudaGetErrorString(cudaError_t error) { return "no error"; }
STAND_IN(cudaSetDevice)
STAND_IN(cudaSetDeviceFlags)
STAND_IN(cudaDeviceSynchronize)
STAND_IN(cudaDeviceReset)
STAND_IN(cudaGetLastError)
STAND_IN(cudaPeekAtLastError)

/* Memory */
cudaError_t cudaMalloc(void **memory, size_t size) { return (*memory = calloc(size, 1)) ? cudaSuccess : cudaErrorMemoryAllocation; }
cudaError_t cudaMallocHost(void **memory, size_t size) { return cudaMalloc(memory, size); }
cudaError_t cudaMallocManaged(void **memory, size_t size, unsigned flags) { return cudaMalloc(memory, size); }
cudaError_t cudaFree(void *memory) { free(memory); return cudaSuccess; }
cudaError_t cudaFreeHost(void *memory) { return cudaFree(memory); }
cudaError_t cudaMemcpy(void *to, const void *from, size_t size, enum cudaMemcpyKind kind) { memmove(to, from, size); return cudaSuccess; }
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t size, enum cudaMemcpyKind kind, cudaStream_t stream) {
    return cudaMemcpy(to, from, size, kind);
}
cudaError_t cudaMemset(void *memory, int value, size_t size) { memset(memory, value, size); return cudaSuccess; }
cudaError_t cudaMemsetAsync(void *memory, int value, size_t size, cudaStream_t stream) { return cudaMemset(memory, value, size); }

/* Queues, and what is put into them */
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data) { function(data); return cudaSuccess; }
STAND_IN(cudaStreamCreate)
STAND_IN(cudaStreamCreateWithFlags)
STAND_IN(cudaStreamDestroy)
STAND_IN(cudaStreamSynchronize)
STAND_IN(cudaStreamWaitEvent)
STAND_IN(cudaEventCreate)
STAND_IN(cudaEventCreateWithFlags)
STAND_IN(cudaEventDestroy)
STAND_IN(cudaEventRecord)
STAND_IN(cudaEventSynchronize)
STAND_IN(cudaEventElapsedTime)
STAND_IN(cudaFuncSetAttribute)
STAND_IN(cudaLaunchKernel)
STAND_IN(cudaLaunchKernelExC)
STAND_IN(__cudaLaunchKernel)
STAND_IN(__cudaGetKernel)
STAND_IN(__cudaInitModule)
STAND_IN(__cudaPushCallConfiguration)
STAND_IN(__cudaPopCallConfiguration)
STAND_IN(__cudaRegisterFatBinary)
STAND_IN(__cudaRegisterFatBinaryEnd)
STAND_IN(__cudaRegisterFunction)
STAND_IN(__cudaRegisterVar)
STAND_IN(__cudaRegisterManagedVar)
STAND_IN(__cudaUnregisterFatBinary)

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *kernel) {
    memset(attributes, 0, sizeof *attributes);
    attributes->binaryVersion = attributes->ptxVersion = CAPABILITY;
    attributes->maxThreadsPerBlock = 1024;
    return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *kernel, int threads, size_t memory,
                                                                   unsigned flags) {
    *blocks = 1;
    return cudaSuccess;
}

/* The other libraries */
const char *cudnnGetErrorString(int status) { return "no error"; }
STAND_IN(cublasCreate_v2)
STAND_IN(cublasDestroy_v2)
STAND_IN(cublasSgemm_v2)
STAND_IN(cublasGemmEx)
STAND_IN(cublasGemmStridedBatchedEx)
STAND_IN(curandCreateGenerator)
STAND_IN(curandDestroyGenerator)
STAND_IN(curandSetPseudoRandomGeneratorSeed)
STAND_IN(curandGenerateUniform)
STAND_IN(curandGenerateNormal)
STAND_IN(cufftCreate)
STAND_IN(cufftDestroy)
STAND_IN(cufftExecC2C)
STAND_IN(cufftExecZ2Z)
STAND_IN(cufftPlanMany)
STAND_IN(cufftSetStream)
STAND_IN(cusparseCreate)
STAND_IN(cusparseDestroy)
STAND_IN(cusparseCreateCoo)
STAND_IN(cusparseCreateCsr)
STAND_IN(cusparseCreateDnMat)
STAND_IN(cusparseDestroyDnMat)
STAND_IN(cusparseDestroySpMat)
STAND_IN(cusparseSpMM)
STAND_IN(cusparseSpMM_bufferSize)
STAND_IN(cudnnCreate)
STAND_IN(cudnnDestroy)
STAND_IN(cudnnCreateTensorDescriptor)
STAND_IN(cudnnCreateFilterDescriptor)
STAND_IN(cudnnCreateConvolutionDescriptor)
STAND_IN(cudnnDestroyTensorDescriptor)
STAND_IN(cudnnDestroyFilterDescriptor)
STAND_IN(cudnnDestroyConvolutionDescriptor)
STAND_IN(cudnnSetTensorNdDescriptor)
STAND_IN(cudnnSetFilterNdDescriptor)
STAND_IN(cudnnSetConvolutionNdDescriptor)
STAND_IN(cudnnSetConvolutionGroupCount)
STAND_IN(cudnnSetConvolutionMathType)
STAND_IN(cudnnConvolutionForward)
STAND_IN(cudnnConvolutionBackwardData)
STAND_IN(cudnnConvolutionBackwardFilter)

/* The first algorithm of cuDNN's, which needs no memory: its number, its status and all that follows are 0. */
struct algorithm { int number, status; };
#define FIRST_ALGORITHM(name) \
    int name(void *handle, void *a, void *b, void *c, void *d, int wanted, int *found, struct algorithm *first) { \
        memset(first, 0, sizeof *first); \
        *found = 1; \
        return 0; \
    }
#define FIRST_TRIED(name) \
    int name(void *handle, void *of_a, void *a, void *of_b, void *b, void *of_c, void *of_d, void *d, int wanted, int *found, \
             struct algorithm *first, void *memory, size_t size) { \
        memset(first, 0, sizeof *first); \
        *found = 1; \
        return 0; \
    }
#define NO_MEMORY(name) int name(void *handle, void *a, void *b, void *c, void *d, int algorithm, size_t *size) { *size = 0; return 0; }
FIRST_ALGORITHM(cudnnGetConvolutionForwardAlgorithm_v7)
FIRST_ALGORITHM(cudnnGetConvolutionBackwardDataAlgorithm_v7)
FIRST_ALGORITHM(cudnnGetConvolutionBackwardFilterAlgorithm_v7)
FIRST_TRIED(cudnnFindConvolutionForwardAlgorithmEx)
FIRST_TRIED(cudnnFindConvolutionBackwardDataAlgorithmEx)
FIRST_TRIED(cudnnFindConvolutionBackwardFilterAlgorithmEx)
NO_MEMORY(cudnnGetConvolutionForwardWorkspaceSize)
NO_MEMORY(cudnnGetConvolutionBackwardDataWorkspaceSize)
NO_MEMORY(cudnnGetConvolutionBackwardFilterWorkspaceSize)
