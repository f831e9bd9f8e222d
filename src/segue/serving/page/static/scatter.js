// Points on a plane with WebGL: zoom, move, point at one, draw a lasso. It needs no eval, so the policy can stay strict.

const VERTEX = `#version 300 es
in vec2 place; in float code; in float mark;
uniform vec2 scale, shift; uniform float size, dim; uniform sampler2D palette;
out vec4 tone; out float ring;
void main() {
  gl_Position = vec4(place * scale + shift, 0.0, 1.0);
  gl_PointSize = size * (mark > 0.5 ? 1.35 : 1.0);
  vec4 found = texelFetch(palette, ivec2(int(code + 0.5), 0), 0);
  tone = vec4(found.rgb, mark > 0.5 || dim < 0.5 ? 0.9 : 0.13);
  ring = found.a < 0.75 ? 1.0 : 0.0;
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec4 tone; in float ring; uniform float size; out vec4 colour;
void main() {
  float far = length(gl_PointCoord - 0.5) * 2.0, soft = 2.5 / max(size, 2.5);
  float alpha = 1.0 - smoothstep(1.0 - soft, 1.0, far);
  if (ring > 0.5) alpha *= smoothstep(0.35 - soft, 0.35 + soft, far);
  if (alpha < 0.01) discard;
  colour = vec4(tone.rgb, 1.0) * (tone.a * alpha);
}`;

function program(gl) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  ["place", "code", "mark"].forEach((name, number) => gl.bindAttribLocation(made, number, name));
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made) ?? "The shaders do not compile.");
  return made;
}

// xs and ys between -1 and 1; on.hover(row or -1), on.pick(row or -1), on.lasso(rows), on.draw(context, toScreen)
export function scatter(canvas, overlay, xs, ys, on) {
  const gl = canvas.getContext("webgl2", { antialias: true, premultipliedAlpha: true });
  if (!gl) throw new Error("This browser draws no WebGL 2.");
  const pen = overlay.getContext("2d");
  const total = xs.length;
  const made = program(gl);
  const uniform = Object.fromEntries(["scale", "shift", "size", "dim", "palette"].map((name) => [name, gl.getUniformLocation(made, name)]));
  const pairs = new Float32Array(2 * total);
  for (let row = 0; row < total; row++) pairs.set([xs[row], ys[row]], 2 * row);
  const [places, codes, marks] = [pairs, new Uint8Array(total), new Uint8Array(total)].map((values, number) => {
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, number ? gl.DYNAMIC_DRAW : gl.STATIC_DRAW);
    gl.enableVertexAttribArray(number);
    gl.vertexAttribPointer(number, number ? 1 : 2, number ? gl.UNSIGNED_BYTE : gl.FLOAT, false, 0, 0);
    return buffer;
  });
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);

  let [width, height, ratio] = [1, 1, 1];
  let view = { zoom: 1, x: 0, y: 0 };
  let [dim, lassoing, path, queued, hovered, ink] = [false, false, null, 0, -1, "#888"];

  const unit = () => (0.46 * Math.min(width, height)) * view.zoom;
  const toScreen = (row) => [width / 2 + (xs[row] - view.x) * unit(), height / 2 - (ys[row] - view.y) * unit()];
  const radius = () => Math.min(9, Math.max(1.6, 96 / Math.sqrt(total)) * Math.max(1, view.zoom ** 0.35));

  function draw() {
    queued = 0;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.useProgram(made);
    const [right, up] = [(2 * unit()) / width, (2 * unit()) / height];
    gl.uniform2f(uniform.scale, right, up);
    gl.uniform2f(uniform.shift, -view.x * right, -view.y * up);
    gl.uniform1f(uniform.size, 2 * radius() * ratio);
    gl.uniform1f(uniform.dim, dim ? 1 : 0);
    gl.uniform1i(uniform.palette, 0);
    gl.drawArrays(gl.POINTS, 0, total);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    on.draw(pen, toScreen, radius());
    if (path) {
      pen.beginPath();
      path.forEach(([x, y], number) => (number ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.closePath();
      pen.globalAlpha = 0.12;
      pen.fillStyle = ink;
      pen.fill();
      pen.globalAlpha = 1;
      pen.strokeStyle = ink;
      pen.lineWidth = 1.5;
      pen.stroke();
    }
  }

  function redraw() {
    queued ||= requestAnimationFrame(draw);
  }

  function nearest(x, y) {
    let [best, least] = [-1, (radius() + 6) ** 2];
    for (let row = total - 1; row >= 0; row--) {
      const [left, top] = [width / 2 + (xs[row] - view.x) * unit() - x, height / 2 - (ys[row] - view.y) * unit() - y];
      const far = left * left + top * top;
      if (far < least) [best, least] = [row, far];
    }
    return best;
  }

  function inside(corners) {
    const found = [];
    for (let row = 0; row < total; row++) {
      const [x, y] = toScreen(row);
      let within = false;
      for (let here = 0, before = corners.length - 1; here < corners.length; before = here++) {
        const [[ax, ay], [bx, by]] = [corners[here], corners[before]];
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
      }
      if (within) found.push(row);
    }
    return found;
  }

  function zoom(factor, x = width / 2, y = height / 2) {
    const wanted = Math.min(400, Math.max(0.6, view.zoom * factor));
    const [left, up] = [(x - width / 2) / unit(), (height / 2 - y) / unit()];
    const share = 1 - view.zoom / wanted;
    view = { zoom: wanted, x: view.x + left * share, y: view.y + up * share };
    redraw();
  }

  function move(right, down) {
    view = { ...view, x: view.x - right / unit(), y: view.y + down / unit() };
    redraw();
  }

  const fit = () => ((view = { zoom: 1, x: 0, y: 0 }), redraw());
  const touches = new Map();
  let begun = null;
  const at = (event) => {
    const box = overlay.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const listeners = {
    pointerdown(event) {
      overlay.setPointerCapture(event.pointerId);
      touches.set(event.pointerId, at(event));
      begun = at(event);
      path = (lassoing || event.shiftKey) && touches.size === 1 ? [begun] : null;
    },
    pointermove(event) {
      const [x, y] = at(event);
      const before = touches.get(event.pointerId);
      if (!before) {
        const row = nearest(x, y);
        if (row !== hovered) on.hover((hovered = row));
        return;
      }
      if (path) path.push([x, y]);
      else if (touches.size === 2) {
        const [, other] = [...touches].find(([id]) => id !== event.pointerId);
        zoom(Math.hypot(x - other[0], y - other[1]) / Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1])), (x + other[0]) / 2, (y + other[1]) / 2);
      } else move(x - before[0], y - before[1]);
      touches.set(event.pointerId, [x, y]);
      redraw();
    },
    pointerup(event) {
      const [x, y] = at(event);
      touches.delete(event.pointerId);
      if (path && path.length > 3) on.lasso(inside(path));
      else if (begun && Math.hypot(x - begun[0], y - begun[1]) < 5) on.pick(nearest(x, y));
      path = begun = null;
      redraw();
    },
    pointercancel: (event) => (touches.delete(event.pointerId), (path = begun = null), redraw()),
    pointerleave: () => (hovered !== -1 ? on.hover((hovered = -1)) : null),
    dblclick: fit,
    wheel(event) {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...at(event));
    },
    keydown(event) {
      const steps = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
      if (steps[event.key]) move(...steps[event.key]);
      else if (event.key === "+" || event.key === "=") zoom(1.4);
      else if (event.key === "-") zoom(1 / 1.4);
      else if (event.key === "0") fit();
      else return;
      event.preventDefault();
    },
  };
  for (const [name, listener] of Object.entries(listeners)) overlay.addEventListener(name, listener, { passive: false });
  const resized = new ResizeObserver(() => {
    ratio = devicePixelRatio;
    [width, height] = [overlay.clientWidth || 1, overlay.clientHeight || 1];
    for (const one of [canvas, overlay]) [one.width, one.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    draw();
  });
  resized.observe(overlay);

  return {
    fit,
    zoom,
    redraw,
    set lassoing(value) {
      lassoing = value;
    },
    // 256 colours of four bytes; an alpha below 192 makes rings.
    paint(values, palette, line) {
      ink = line;
      gl.bindBuffer(gl.ARRAY_BUFFER, codes);
      gl.bufferSubData(gl.ARRAY_BUFFER, 0, values);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, palette);
      redraw();
    },
    mark(rows) {
      const values = new Uint8Array(total);
      for (const row of rows) values[row] = 1;
      dim = rows.length > 0;
      gl.bindBuffer(gl.ARRAY_BUFFER, marks);
      gl.bufferSubData(gl.ARRAY_BUFFER, 0, values);
      redraw();
    },
    // Bring some items into view, without leaving what is near them.
    show(rows) {
      const [left, right, low, high] = rows.reduce(([a, b, c, d], row) => [Math.min(a, xs[row]), Math.max(b, xs[row]), Math.min(c, ys[row]), Math.max(d, ys[row])], [9, -9, 9, -9]);
      const wanted = Math.min(12, Math.max(1, 1.1 / Math.max(right - left, high - low, 0.02)));
      view = { zoom: wanted, x: (left + right) / 2, y: (low + high) / 2 };
      redraw();
    },
    screen: toScreen,
    destroy() {
      cancelAnimationFrame(queued);
      resized.disconnect();
      gl.deleteBuffer(places);
      gl.getExtension("WEBGL_lose_context")?.loseContext();
    },
  };
}
