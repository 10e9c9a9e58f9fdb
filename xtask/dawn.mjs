// node dawn.mjs PACKAGE FOLDER: runs every FOLDER/CASE.json (a plan, by the program portable-cases) on Dawn's Vulkan adapter and
// writes the words of its outputs to FOLDER/CASE.result. PACKAGE is the folder of the npm package `webgpu`. Exit 1 if Dawn
// refuses a plan.
import fs from 'fs';
import path from 'path';
import { pathToFileURL } from 'url';

const [pack, folder] = process.argv.slice(2);
const { create, globals } = await import(pathToFileURL(path.join(pack, 'index.js')));
Object.assign(globalThis, globals);
// Kept alive: Dawn crashes if it is collected.
globalThis.gpu = create(['backend=vulkan']);
const adapter = await gpu.requestAdapter();
if (!adapter) throw new Error("Dawn takes none of this machine's Vulkan adapters (Mesa 25 and SwiftShader are taken, Mesa 22.3 is not)");
const device = await adapter.requestDevice();
console.log(`dawn: ${adapter.info.description}`);
const pipelines = new Map();

function pipeline(launch) {
    const kinds = launch.bindings.map((b) => (b.write ? 'storage' : 'read-only-storage'));
    const key = kinds.join() + launch.source;
    if (!pipelines.has(key)) {
        const entries = kinds.map((type, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } }));
        const layout = device.createBindGroupLayout({ entries });
        const module = device.createShaderModule({ code: launch.source });
        const compute = { module, entryPoint: 'main' };
        const made = device.createComputePipeline({ layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }), compute });
        pipelines.set(key, [made, layout]);
    }
    return pipelines.get(key);
}

const padded = (bytes) => Math.max(4, Math.ceil(bytes / 4) * 4);
const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;

// The words of a plan's outputs.
async function run(plan) {
    const buffer = (bytes, usage) => device.createBuffer({ size: padded(bytes), usage });
    const slots = plan.slots.map((bytes) => buffer(bytes, STORAGE | COPY_SRC | COPY_DST));
    const scalars = buffer(4 * plan.scalars.length, STORAGE | COPY_DST);
    device.queue.writeBuffer(scalars, 0, new Uint32Array(plan.scalars));
    for (const { at, words } of plan.fed) device.queue.writeBuffer(slots[at[0]], at[1], new Uint32Array(words));
    const encoder = device.createCommandEncoder();
    for (const launch of plan.launches) {
        const [made, layout] = pipeline(launch);
        const entries = launch.bindings.map(({ at }, binding) => ({
            binding,
            resource: at ? { buffer: slots[at[0]], offset: at[1], size: padded(at[2]) } : { buffer: scalars },
        }));
        const pass = encoder.beginComputePass();
        pass.setPipeline(made);
        pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
        pass.dispatchWorkgroups(...launch.groups);
        pass.end();
    }
    const read = plan.outputs.map((at) => {
        const to = buffer(at[2], MAP_READ | COPY_DST);
        if (at[2] > 0) encoder.copyBufferToBuffer(slots[at[0]], at[1], to, 0, padded(at[2]));
        return to;
    });
    device.queue.submit([encoder.finish()]);
    const found = [];
    for (const [i, from] of read.entries()) {
        await from.mapAsync(GPUMapMode.READ);
        found.push([...new Uint32Array(from.getMappedRange().slice(0, padded(plan.outputs[i][2])))].slice(0, plan.outputs[i][2] / 4));
        from.destroy();
    }
    [...slots, scalars].forEach((b) => b.destroy());
    return found;
}

const files = fs.readdirSync(folder).filter((f) => f.endsWith('.json')).sort();
let bad = 0;
for (const file of files) {
    const plan = JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8'));
    device.pushErrorScope('validation');
    const found = await run(plan);
    const error = await device.popErrorScope();
    fs.writeFileSync(path.join(folder, `${plan.case}.result`), JSON.stringify(found));
    if (error) {
        bad += 1;
        console.log(`${plan.case}: ${error.message.split('\n')[0]}`);
    }
}
console.log(`dawn: ${files.length} cases, ${bad} refused`);
process.exit(bad > 0 || files.length === 0 ? 1 : 0);
