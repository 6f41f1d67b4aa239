"""Red controls: leaks on purpose, each of which the audit must find, or it shows nothing.

Owns what leaks, and how a control is played. The programs that leak are in `leaky-programs`, which is no
package: nothing can import them, and only a control starts them.
"""
