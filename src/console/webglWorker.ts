/**
 * Entry of a worker that says once whether WebGL 2 is there and drawn by a GPU: a software rasteriser is slower than the DOM.
 * Making a context only to ask it would hold the page up for up to a tenth of a second.
 */
function hasFastWebgl(): boolean {
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2", { failIfMajorPerformanceCaveat: true });
  if (!gl) return false;
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const renderer = String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  return !/swiftshader|llvmpipe|softpipe|software|basic render/i.test(renderer);
}

postMessage(hasFastWebgl());
