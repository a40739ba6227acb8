"""The programs that turn meshes into pixels, in GLSL 3.30: what every OpenGL since 2010, and Mesa's llvmpipe, can run.

Colours are squared before they are lit and the root is taken at the end, which stands for sRGB's curve within a few per
cent and costs one multiplication. Everything is placed relative to the lens, so that float32 holds a millimetre at 8 km.
"""

from __future__ import annotations

INSTANCE_LAYOUT = "3f 3f 3f 3f 3f 3f /i"        # three columns of the turn, place, tint, (id, heat, sway)
INSTANCE_NAMES = ("turn_x", "turn_y", "turn_z", "place", "tint", "traits")
INSTANCE_FLOATS = 18

# A plant bends as the square of its height, each with a phase of its own, leaves faster than trunks.
_STAND = """
in vec3 position;
in vec3 turn_x;
in vec3 turn_y;
in vec3 turn_z;
in vec3 place;
in vec3 traits;
uniform vec4 wind;          // east, north: metres that a point 10 m up is bent at the most; seconds; unused
out float bend;             // metres for each metre of wind
vec3 standing() {
    vec3 at = mat3(turn_x, turn_y, turn_z) * position;
    bend = traits.z * (at.z * at.z * 0.01 + 0.12 * sqrt(max(at.z, 0.0) * 0.1));
    if (traits.z > 0.0) {
        float high = at.z * 0.1;
        float seed = turn_x.x * 17.0 + turn_x.y * 9.0;      // its heading is as good as a name
        float gust = 0.6 + 0.4 * sin(wind.z * 0.7 + seed) + 0.35 * sin(wind.z * 2.3 + seed * 1.7);
        vec2 flutter = 0.12 * sin(vec2(5.1, 4.3) * wind.z + position.xy * 3.0 + seed);
        at.xy += traits.z * (wind.xy * high * high * gust + length(wind.xy) * sqrt(max(high, 0.0)) * flutter * 0.5);
    }
    return at + place;
}
"""

MESH_VERTEX = "#version 330 core\n" + _STAND + """
in vec3 normal;
in vec3 colour;
in vec2 uv;
in vec3 tint;
uniform mat4 clip_from_world;
uniform mat4 shadow_from_world;
out vec3 at;
out vec3 face;
out vec3 paint;
out vec2 on_texture;
out vec3 in_shadow_map;
flat out vec2 id_heat;
out float depth_m;
void main() {
    at = standing();
    face = mat3(turn_x, turn_y, turn_z) * normal;
    paint = colour * tint;
    on_texture = uv;
    id_heat = traits.xy;
    in_shadow_map = (shadow_from_world * vec4(at, 1.0)).xyz * 0.5 + 0.5;
    gl_Position = clip_from_world * vec4(at, 1.0);
    depth_m = gl_Position.w;
}
"""

LIGHT = """
uniform vec3 sun_direction;
uniform vec3 sun;
uniform vec3 sky;
uniform vec3 bounce;
uniform vec3 lamp;              // of an infra-red or white lamp at the lens, at 1 m
uniform vec3 fog;
uniform float fog_per_m;
uniform float exposure;
uniform int palette;            // 0 day, 1 low light (grey), 2 thermal
vec3 toned(vec3 light) {
    vec3 x = light * exposure;
    return sqrt(clamp(x * (1.0 + x * 0.16) / (1.0 + x * 0.75), 0.0, 1.0));
}
vec3 hazed(vec3 light, float metres) {
    return mix(light, fog, 1.0 - exp(-metres * fog_per_m));
}
"""

SHADOW_LOOKUP = """
uniform sampler2DShadow shadow_map;
uniform float shadow_texel;
float sunlit(vec3 p) {
    if (shadow_texel <= 0.0) return 1.0;
    if (any(lessThan(p, vec3(0.0))) || any(greaterThan(p, vec3(1.0)))) return 1.0;
    float sum = 0.0;
    sum += texture(shadow_map, p + vec3(-0.7, -0.3, 0.0) * shadow_texel);
    sum += texture(shadow_map, p + vec3( 0.3, -0.7, 0.0) * shadow_texel);
    sum += texture(shadow_map, p + vec3( 0.7,  0.3, 0.0) * shadow_texel);
    sum += texture(shadow_map, p + vec3(-0.3,  0.7, 0.0) * shadow_texel);
    return sum * 0.25;
}
"""

MESH_FRAGMENT = "#version 330 core\n" + LIGHT + SHADOW_LOOKUP + """
in vec3 at;
in vec3 face;
in vec3 paint;
in vec2 on_texture;
in vec3 in_shadow_map;
flat in vec2 id_heat;
in float depth_m;
in float bend;
uniform sampler2D picture;
uniform int textured;
uniform sampler2D backdrop;     // id and depth of what was drawn before, with backdrop_samples of ours to one of its pixels
uniform int backdrop_samples;   // 0: there is none
uniform int opaque;             // 0: alpha is the sun's share of the light instead, for shadows that come later
layout(location = 0) out vec4 seen;
layout(location = 1) out vec2 id_depth;
void main() {
    if (backdrop_samples > 0) {
        float before = texelFetch(backdrop, ivec2(gl_FragCoord.xy) / backdrop_samples, 0).y;
        // The ground is a little higher between two of its pixels: feet are not to vanish in it.
        if (before > 0.0 && depth_m > before * 1.001 + 0.06) discard;
    }
    vec4 skin = vec4(1.0);
    if (textured == 1) {
        skin = texture(picture, on_texture);
        if (skin.a < 0.5) discard;
    }
    vec3 view = normalize(-at);
    vec3 n = normalize(face);
    if (dot(n, view) < 0.0) n = -n;
    vec3 albedo = paint * skin.rgb;
    // In a backdrop what bends is told by a number below nought, for those who let it sway afterwards.
    id_depth = vec2(opaque == 0 && bend > 0.0 ? -bend : id_heat.x, depth_m);
    if (palette == 2) {
        float warm = id_heat.y * (0.86 + 0.14 * dot(n, view)) + 0.05 * (dot(albedo, vec3(0.33)) - 0.4);
        seen = vec4(vec3(mix(warm, 0.30, 1.0 - exp(-depth_m * fog_per_m))), 1.0);
        return;
    }
    albedo *= albedo;
    float day = max(dot(n, sun_direction), 0.0);
    if (day > 0.0) day *= sunlit(in_shadow_map);
    vec3 light = albedo * (sun * day + mix(bounce, sky, n.z * 0.5 + 0.5) + lamp * dot(n, view) / max(dot(at, at), 1.0));
    float share = opaque == 1 ? 1.0 : dot(albedo * sun * day, vec3(1.0)) / max(dot(light, vec3(1.0)), 1e-6);
    seen = vec4(toned(hazed(light, depth_m)), share);
    if (palette == 1) seen.rgb = vec3(dot(seen.rgb, vec3(0.114, 0.587, 0.299)));
}
"""

# From the sun: depth and nothing else, but a leaf's texture has holes there too.
SHADOW_VERTEX = "#version 330 core\n" + _STAND + """
in vec2 uv;
uniform mat4 shadow_from_world;
out vec2 on_texture;
void main() {
    on_texture = uv;
    gl_Position = shadow_from_world * vec4(standing(), 1.0);
}
"""

SHADOW_FRAGMENT = """#version 330 core
in vec2 on_texture;
uniform sampler2D picture;
uniform int textured;
void main() {
    if (textured == 1 && texture(picture, on_texture).a < 0.5) discard;
}
"""

# A plane that shows only what shadow falls on it: black, as opaque as the sun's share of the light.
CATCHER_VERTEX = """#version 330 core
in vec3 position;
uniform mat4 clip_from_world;
uniform mat4 shadow_from_world;
out vec3 in_shadow_map;
out float depth_m;
void main() {
    in_shadow_map = (shadow_from_world * vec4(position, 1.0)).xyz * 0.5 + 0.5;
    gl_Position = clip_from_world * vec4(position, 1.0);
    depth_m = gl_Position.w;
}
"""

CATCHER_FRAGMENT = "#version 330 core\n" + SHADOW_LOOKUP + """
in vec3 in_shadow_map;
in float depth_m;
uniform float darkest;
layout(location = 0) out vec4 seen;
layout(location = 1) out vec2 id_depth;
void main() {
    float shade = darkest * (1.0 - sunlit(in_shadow_map));
    if (shade < 0.004) discard;
    seen = vec4(0.0, 0.0, 0.0, shade);
    id_depth = vec2(0.0, depth_m);
}
"""
