// Counts dispatches: a Vulkan driver in front of the one that PEER_DRIVER names. An ICD file names this library, and
// LD_PRELOAD, so that the program can ask `dispatches_so_far`. compare.py builds and uses it.
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Any)(void);
typedef Any (*Get)(void *, const char *);
static uint64_t count;
static Get device_proc;
static void (*dispatch)(void *, uint32_t, uint32_t, uint32_t);
static void (*indirect)(void *, void *, uint64_t);

uint64_t dispatches_so_far(void) { return __atomic_load_n(&count, __ATOMIC_RELAXED); }

static void counted(void *buffer, uint32_t x, uint32_t y, uint32_t z) {
    __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);
    dispatch(buffer, x, y, z);
}

static void counted_indirect(void *buffer, void *arguments, uint64_t offset) {
    __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);
    indirect(buffer, arguments, offset);
}

static Any driver(const char *name) {
    static void *library;
    if (!library && !(library = dlopen(getenv("PEER_DRIVER"), RTLD_NOW | RTLD_LOCAL))) abort();
    return (Any)dlsym(library, name);
}

static Any ours(const char *name, Any theirs);

static Any get_device_proc(void *device, const char *name) { return ours(name, device_proc(device, name)); }

static Any ours(const char *name, Any theirs) {
    if (theirs && !strcmp(name, "vkCmdDispatch")) return dispatch = (void *)theirs, (Any)counted;
    if (theirs && !strcmp(name, "vkCmdDispatchIndirect")) return indirect = (void *)theirs, (Any)counted_indirect;
    if (theirs && !strcmp(name, "vkGetDeviceProcAddr")) return device_proc = (Get)theirs, (Any)get_device_proc;
    return theirs;
}

Any vk_icdGetInstanceProcAddr(void *instance, const char *name) {
    return ours(name, ((Get)driver("vk_icdGetInstanceProcAddr"))(instance, name));
}

Any vk_icdGetPhysicalDeviceProcAddr(void *instance, const char *name) {
    Get get = (Get)driver("vk_icdGetPhysicalDeviceProcAddr");
    return get ? get(instance, name) : 0;
}

int32_t vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version) {
    int32_t (*negotiate)(uint32_t *) = (void *)driver("vk_icdNegotiateLoaderICDInterfaceVersion");
    return negotiate ? negotiate(version) : 0;
}
