"""The programs for what is not a mesh: ground, sky, shadows that fall on what was drawn before, and rain."""

from __future__ import annotations

from sim.raster_shaders import LIGHT, SHADOW_LOOKUP

GROUND_VERTEX = """#version 330 core
in vec3 position;           // east, north, height, relative to the patch's origin
in vec3 normal;
uniform vec3 origin;        // of the patch, relative to the lens
uniform mat4 clip_from_world;
uniform mat4 shadow_from_world;
out vec3 at;
out vec2 on_patch;
out vec3 face;
out vec3 in_shadow_map;
out float depth_m;
void main() {
    at = position + origin;
    on_patch = position.xy;
    face = normal;
    in_shadow_map = (shadow_from_world * vec4(at, 1.0)).xyz * 0.5 + 0.5;
    gl_Position = clip_from_world * vec4(at, 1.0);
    depth_m = gl_Position.w;
}
"""

# Covers are blended by weights on posts; where two meet, noise frays the seam. Each texture is laid at two scales, one
# turned, so that the eye finds no tiles; its alpha is its height, from whose slope on the screen a bump is made (Mikkelsen,
# 2010, "Bump Mapping Unparametrized Surfaces on the GPU").
GROUND_FRAGMENT = "#version 330 core\n" + LIGHT + SHADOW_LOOKUP + """
in vec3 at;
in vec2 on_patch;
in vec3 face;
in vec3 in_shadow_map;
in float depth_m;
uniform sampler2D cover_a;      // forest floor, grass, field, dirt
uniform sampler2D cover_b;      // rock, road, water, sand
uniform sampler2D wild;         // 1 where forest stands that nobody has planted tree by tree
uniform sampler2D ways;         // metres to the nearest trail and road, 10 m is 1
uniform sampler2D noise;
uniform sampler2DArray textures;
uniform vec4 cover_frame;       // origin of the cover grid relative to the patch's, 1 / its extent
uniform vec4 ways_frame;
uniform vec2 drift;             // of the patch from the landscape's origin
uniform float wetness;
uniform vec3 zenith;
uniform vec3 horizon;
uniform float ripple_s;
uniform float least;            // weight of a cover, below which it is not looked up
layout(location = 0) out vec4 seen;
layout(location = 1) out vec2 id_depth;
uniform float tile_m[8];
const float WARMTH[8] = float[8](0.27, 0.30, 0.34, 0.38, 0.36, 0.42, 0.20, 0.37);
vec4 laid(int layer, vec2 p) {
    vec2 q = p / tile_m[layer];
    vec4 near_by = texture(textures, vec3(q, layer));
    vec4 wide = texture(textures, vec3(mat2(0.81, 0.59, -0.59, 0.81) * q * 0.233 + 0.37, layer));
    return vec4(mix(near_by.rgb, wide.rgb, 0.42), near_by.a);
}
void main() {
    vec2 p = on_patch + drift;
    float fine = texture(noise, p / 3.1).r;
    float mid = texture(noise, p / 17.0).g;
    float broad = texture(noise, p / 90.0).r;
    vec2 frayed = on_patch + (vec2(fine, texture(noise, p / 5.3 + 0.5).g) - 0.5) * 2.2 + (mid - 0.5) * 2.5;
    vec2 on_cover = (frayed - cover_frame.xy) * cover_frame.zw;
    vec4 a = texture(cover_a, on_cover);
    vec4 b = texture(cover_b, on_cover);
    vec2 on_ways = (on_patch - ways_frame.xy) * ways_frame.zw;
    float worn = 0.0;
    if (all(greaterThan(on_ways, vec2(0.0))) && all(lessThan(on_ways, vec2(1.0)))) {
        vec2 away = texture(ways, on_ways).rg * 10.0 + (mid - 0.5) * 0.9 + (fine - 0.5) * 0.7;
        float close = smoothstep(9.0, 5.0, away.r);
        a.y += a.w * close; a.w *= 1.0 - close;
        float paved = smoothstep(9.5, 6.0, away.g);
        a.y += b.y * paved; b.y *= 1.0 - paved;
        float trail = smoothstep(1.05, 0.35, away.r);
        float road = smoothstep(3.5, 2.9, away.g);
        worn = smoothstep(2.4, 0.5, away.r);
        a *= 1.0 - trail; b *= 1.0 - trail; a.w += trail;
        a *= 1.0 - road; b *= 1.0 - road; b.y += road;
    }
    float weights[8] = float[8](a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w);
    vec3 albedo = vec3(0.0);
    float high = 0.0, total = 0.0, warm = 0.0;
    for (int i = 0; i < 8; i++) {
        float w = weights[i];
        if (w > least) {
            vec4 t = laid(i, p);
            w *= 0.3 + t.a;             // what stands higher in its texture wins the seam
            w *= w;
            albedo += w * t.rgb; high += w * t.a; total += w; warm += w * WARMTH[i];
        }
    }
    albedo /= max(total, 1e-5); high /= max(total, 1e-5); warm /= max(total, 1e-5);
    float water = smoothstep(0.45, 0.6, b.z);
    // Forest too far away for trees of its own is seen as its crowns.
    float crowns = a.x * texture(wild, on_cover).r;
    if (crowns > 0.01) {
        float crown = texture(noise, p / 61.0).g * 0.6 + texture(noise, p / 26.0 + 0.2).r * 0.4;
        albedo = mix(albedo, vec3(0.15, 0.24, 0.18) * (0.25 + 1.5 * crown), crowns);
        high = mix(high, crown * 6.0, crowns);
        warm = mix(warm, 0.30, crowns);
    }
    albedo *= (0.72 + 0.5 * broad) * (0.80 + 0.40 * mid);
    albedo.rb *= 1.0 + (vec2(broad, mid) - 0.5) * vec2(-0.18, 0.22) * (1.0 - water);
    albedo *= 1.0 - 0.16 * worn * (1.0 - fine);
    albedo *= 1.0 - 0.24 * wetness;
    id_depth = vec2(0.0, depth_m);
    vec3 view = normalize(-at);
    vec3 n = normalize(face);
    vec3 across = dFdx(at), along = dFdy(at);
    vec3 r1 = cross(along, n), r2 = cross(n, across);
    float det = dot(across, r1);
    float bump = mix(0.055 * (1.0 - water) * exp(-depth_m / 60.0), 0.8, crowns);
    vec3 slope = sign(det) * (dFdx(high) * r1 + dFdy(high) * r2);
    n = normalize(abs(det) * n - bump * slope);
    if (palette == 2) {
        float heat = warm + 0.05 * (mid - 0.5) + 0.06 * (dot(albedo, vec3(0.33)) - 0.35);
        seen = vec4(vec3(mix(heat, 0.30, 1.0 - exp(-depth_m * fog_per_m))), 0.0);
        return;
    }
    albedo *= albedo;
    float day = max(dot(n, sun_direction), 0.0);
    if (day > 0.0) day *= sunlit(in_shadow_map);
    float cavity = mix(1.0, 0.62 + 0.55 * min(high, 1.0), exp(-depth_m / 45.0));
    vec3 light = albedo * (sun * day + mix(bounce, sky, n.z * 0.5 + 0.5) * cavity
                           + lamp * max(dot(n, view), 0.0) / max(dot(at, at), 1.0));
    if (water > 0.0) {
        vec2 w = p * vec2(0.9, 0.35) + ripple_s * vec2(0.25, 0.1);
        vec2 tip = (texture(noise, w / 2.7).rg - 0.5) * 0.16 + (texture(noise, w / 9.0).gr - 0.5) * 0.10;
        vec3 wave = normalize(vec3(tip, 1.0));
        vec3 mirror = reflect(-view, wave);
        float grazing = 0.03 + 0.97 * pow(1.0 - max(dot(view, wave), 0.0), 5.0);
        vec3 above = mix(horizon, zenith, sqrt(clamp(mirror.z, 0.0, 1.0)));
        above *= mix(0.35, 1.0, smoothstep(0.12, 0.5, mirror.z));      // the other bank's trees
        float glint = pow(max(dot(mirror, sun_direction), 0.0), 180.0);
        light = mix(light, light * (1.0 - grazing) * 0.8 + above * grazing + sun * glint * 2.0, water);
    }
    float share = dot(albedo * sun * day, vec3(1.0)) / max(dot(light, vec3(1.0)), 1e-6);
    seen = vec4(toned(hazed(light, depth_m)), share * (1.0 - 0.8 * water));
    if (palette == 1) seen.rgb = vec3(dot(seen.rgb, vec3(0.114, 0.587, 0.299)));
}
"""

SCREEN_VERTEX = """#version 330 core
in vec2 corner;
uniform mat4 world_from_clip;
out vec3 toward;
void main() {
    vec4 far_away = world_from_clip * vec4(corner, 0.9, 1.0);
    toward = far_away.xyz / far_away.w;
    gl_Position = vec4(corner, 0.99999, 1.0);
}
"""

SKY_FRAGMENT = "#version 330 core\n" + LIGHT + """
in vec3 toward;
uniform vec3 zenith;
uniform vec3 horizon;
uniform vec3 glow;
uniform float cloud;
uniform vec2 cloud_drift;
uniform sampler2D noise;
layout(location = 0) out vec4 seen;
layout(location = 1) out vec2 id_depth;
void main() {
    vec3 way = normalize(toward);
    id_depth = vec2(0.0);
    float up = max(way.z, 0.0);
    if (palette == 2) { seen = vec4(vec3(mix(0.20, 0.06, sqrt(up))), 0.0); return; }
    vec3 light = mix(horizon, zenith, pow(up, 0.5));
    float toward_sun = max(dot(way, sun_direction), 0.0);
    light += glow * (0.25 * pow(toward_sun, 12.0) + 3.0 * pow(toward_sun, 900.0)) * (1.0 - 0.85 * cloud);
    vec2 q = way.xy / (up + 0.12) * 0.06 + cloud_drift;
    float puffs = texture(noise, q).r * 0.55 + texture(noise, q * 2.7 + 0.3).g * 0.3 + texture(noise, q * 7.1).r * 0.15;
    float cover = smoothstep(0.78 - 0.62 * cloud, 1.0 - 0.55 * cloud, puffs);
    vec3 puff = (zenith * 0.9 + horizon * 0.7) * (0.75 + 0.5 * puffs) + glow * 0.35 * (1.0 - cloud);
    light = mix(light, puff, cover * smoothstep(0.0, 0.2, up));
    light = mix(light, fog, exp(-up * 40.0 / (1.0 + fog_per_m * 3000.0)));
    seen = vec4(toned(light), 0.0);
    if (palette == 1) seen.rgb = vec3(dot(seen.rgb, vec3(0.114, 0.587, 0.299)));
}
"""

FALLEN_VERTEX = """#version 330 core
in vec2 corner;
void main() { gl_Position = vec4(corner, 0.0, 1.0); }
"""

# Where the sun, and below a body the sky, does not reach what was drawn before. red: of the sun; green: of the sky.
FALLEN_FRAGMENT = "#version 330 core\n" + SHADOW_LOOKUP + """
uniform sampler2D backdrop;
uniform int backdrop_step;          // pixels of the backdrop to one of ours
uniform mat4 shadow_from_world;
uniform mat3 world_from_ray;
uniform vec4 pinhole;               // 1/fx, 1/fy, cx, cy
uniform int standing;
uniform vec4 feet[24];              // places relative to the lens, radius
uniform float fog_per_m;
layout(location = 0) out vec2 taken;
void main() {
    float z = texelFetch(backdrop, ivec2(gl_FragCoord.xy) * backdrop_step, 0).y;
    taken = vec2(0.0);
    if (z <= 0.0) return;
    vec3 at = world_from_ray * vec3((gl_FragCoord.xy - 0.5 - pinhole.zw) * pinhole.xy * z, z);
    vec3 p = (shadow_from_world * vec4(at, 1.0)).xyz * 0.5 + 0.5;
    taken.r = 1.0 - sunlit(p - vec3(0.0, 0.0, 0.002));
    for (int i = 0; i < standing; i++) {
        vec3 off = at - feet[i].xyz;
        float r = feet[i].w;
        taken.g += 0.55 * exp(-dot(off, off) / (r * r));
    }
    // What the air adds in front of a shadow is not darkened by it.
    taken = vec2(taken.r, min(taken.g, 0.7)) * exp(-z * fog_per_m);
}
"""

# An actor alone, as a shape and nothing else.
OUTLINE_FRAGMENT = """#version 330 core
in vec2 on_texture;
uniform sampler2D picture;
uniform int textured;
layout(location = 0) out vec4 seen;
void main() {
    if (textured == 1 && texture(picture, on_texture).a < 0.5) discard;
    seen = vec4(1.0);
}
"""
