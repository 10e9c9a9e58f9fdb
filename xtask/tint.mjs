// node tint.mjs PACKAGE FOLDER: every FOLDER/*.wgsl through Tint (module and compute pipeline), on Dawn's null backend.
// PACKAGE is the folder of the npm package `webgpu`. Exit 1 where Tint refuses one, or accepts what it must refuse.
import fs from 'fs';
import path from 'path';
import { pathToFileURL } from 'url';

const [pack, folder] = process.argv.slice(2);
const { create, globals } = await import(pathToFileURL(path.join(pack, 'index.js')));
Object.assign(globalThis, globals);
// Held for good: Dawn crashes where the collector takes it.
globalThis.gpu = create(['backend=null']);
const adapter = await gpu.requestAdapter();
if (!adapter) throw new Error('Dawn offers no null adapter');
const requiredFeatures = ['shader-f16', 'subgroups'].filter((f) => adapter.features.has(f));
const names = ['maxComputeInvocationsPerWorkgroup', 'maxComputeWorkgroupSizeX', 'maxComputeWorkgroupStorageSize',
    'maxStorageBuffersPerShaderStage'];
const requiredLimits = Object.fromEntries(names.map((n) => [n, adapter.limits[n]]));
const device = await adapter.requestDevice({ requiredFeatures, requiredLimits });

// Modules checked without a pipeline.
let without = 0;

// What Tint says against a text, or nothing. It wants subgroups enabled by name, which naga refuses.
async function refused(text) {
    const code = /\bsubgroup[A-Z]/.test(text) ? 'enable subgroups;' + text : text;
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code });
    const messages = (await module.getCompilationInfo()).messages.filter((m) => m.type === 'error');
    const error = await device.popErrorScope();
    if (messages.length > 0) return `line ${messages[0].lineNum}: ${messages[0].message}`;
    if (error) return error.message;
    // Adapters may offer more storage buffers than the null one: no pipeline of these here.
    if (text.split('var<storage').length - 1 > device.limits.maxStorageBuffersPerShaderStage) {
        without += 1;
        return null;
    }
    try {
        await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
    } catch (e) {
        return e.message.split('\n')[0];
    }
    return null;
}

// A barrier that not all invocations reach: naga lets it pass.
const uneven = `@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) li: u32) {
    if (y[li] > 3u) { workgroupBarrier(); }
}`;
if (!(await refused(uneven))) throw new Error('Tint accepts a barrier in non-uniform control flow');
const files = fs.readdirSync(folder).filter((f) => f.endsWith('.wgsl')).sort();
let bad = 0;
for (const file of files) {
    const text = fs.readFileSync(path.join(folder, file), 'utf8');
    const why = await refused(text);
    if (why) {
        bad += 1;
        console.log(`${path.join(folder, file)} (${text.split('\n')[0]}): ${why}`);
    }
}
console.log(`tint: ${files.length} modules, ${bad} refused, ${without} without a pipeline for their number of buffers`);
process.exit(bad > 0 || files.length === 0 ? 1 : 0);
